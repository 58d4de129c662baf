"""The words of a decision: verdicts, and the reasons for them."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    EXECUTE = "execute"
    ASK = "ask"
    OBSERVE = "observe"
    ABSTAIN = "abstain"


class CaseKind(StrEnum):
    INCIDENT = "incident"
    PREDICTION = "prediction"
    RECOMMENDATION = "recommendation"
    REQUEST = "request"
    RECOVERY = "recovery"


class Moment(StrEnum):
    """Whether now is a good time to act on a prediction."""

    WAIT = "wait"
    QUIET = "quiet"
    DEADLINE = "deadline"
    GONE = "gone"


class Result(StrEnum):
    """How a run ended. LOST: nothing was heard of it within its lease."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    SKIPPED = "skipped"
    LOST = "lost"


FAILURES = frozenset({Result.ROLLED_BACK, Result.FAILED, Result.LOST})
ATTEMPTED = FAILURES - {Result.LOST} | {Result.SUCCEEDED}
"""Ends that say something of the playbook."""


class AutonomyReason(StrEnum):
    """Why a playbook was given, or lost, the right to act alone on a problem."""

    EARNED = "earned"
    ERROR_BUDGET_SPENT = "error-budget-spent"
    BY_PERSON = "by-person"


class Reason(StrEnum):
    """The rule that decided: metric label, log field and heart of the explanation."""

    ACT = "act"
    APPROVED = "approved"
    MANUAL = "manual"
    OVERRIDDEN = "overridden"
    # asks
    BELOW_THRESHOLD = "below-threshold"
    RISK_TOO_HIGH = "risk-too-high"
    MODE_ASSIST = "mode-assist"
    PLAYBOOK_MANUAL = "playbook-manual"
    PLAYBOOK_SEMI_AUTO = "playbook-semi-auto"
    NOT_PERMITTED = "not-permitted"
    NOT_PRACTISED = "not-practised"
    AUTONOMY_LOST = "autonomy-lost"
    ESCALATED = "escalated"
    ATTEMPTS_SPENT = "attempts-spent"
    # observes
    MODE_OBSERVE = "mode-observe"
    AWAITING_QUIET_MOMENT = "awaiting-quiet-moment"
    SILENCED = "silenced"
    # abstains for now
    BUSY = "busy"
    COOLING_DOWN = "cooling-down"
    BUDGET_SPENT = "budget-spent"
    FROZEN = "frozen"
    MIN_HEALTHY = "min-healthy"
    TOO_MANY_TARGETS = "too-many-targets"
    SWITCHED_OFF = "switched-off"
    INCIDENT_FIRST = "incident-first"
    SAME_AS_OTHER_CASE = "same-as-other-case"
    STORM = "storm"
    AGENT_AWAY = "agent-away"
    COMPONENT_BUDGET_SPENT = "component-budget-spent"
    PLAYBOOK_BUDGET_SPENT = "playbook-budget-spent"
    GROUP_SHARE = "group-share"
    MAINTENANCE = "maintenance"
    SETTLING = "settling"
    OSCILLATING = "oscillating"
    HELD_OFF = "held-off"
    # abstains until something changes
    NO_PLAYBOOK = "no-playbook"
    NOT_IN_CARE = "not-in-care"
    SYMPTOM_OF_OTHER = "symptom-of-other"
    INCIDENT_GONE = "incident-gone"
    REJECTED = "rejected"
    EXPIRED = "expired"


MEANING: dict[Reason, str] = {
    Reason.ACT: "confidence, risk and every limit allow it",
    Reason.APPROVED: "a person approved it, and the hard limits allow it",
    Reason.MANUAL: "a person asked for it, and the hard limits allow it",
    Reason.OVERRIDDEN: "a person overruled the decision, and the hard limits allow it",
    Reason.HELD_OFF: "left alone for a while at random, to learn what acting is worth: decided again after it",
    Reason.AUTONOMY_LOST: "the playbook lost the right to act alone on this: a person approves each run",
    Reason.BELOW_THRESHOLD: "not sure enough to act alone: a person decides",
    Reason.RISK_TOO_HIGH: "above the risk limit, which confidence cannot buy off: a person decides",
    Reason.MODE_ASSIST: "the pack is in mode `assist`: a person decides",
    Reason.PLAYBOOK_MANUAL: "the playbook is `manual`: only a person starts it",
    Reason.PLAYBOOK_SEMI_AUTO: "the playbook is `semi-auto`: a person approves each run until it has earned trust",
    Reason.NOT_PERMITTED: "the playbook needs a permission that is lacking",
    Reason.NOT_PRACTISED: "the playbook's way there and back is not proven by a practice: a person decides",
    Reason.ESCALATED: "what was tried did not help: a person is needed",
    Reason.ATTEMPTS_SPENT: "as many attempts as the policy allows did not help: a person is needed",
    Reason.MODE_OBSERVE: "the pack is in mode `observe`: said, not done",
    Reason.AWAITING_QUIET_MOMENT: "there is time: waiting for less traffic",
    Reason.SILENCED: "it is silenced, or in maintenance: only observed",
    Reason.STORM: "half the estate alarms at once, and causes can't be told apart: decided again when it is over",
    Reason.AGENT_AWAY: "the agent on its host is away: decided again when it is back",
    Reason.BUSY: "another run is on this component: decided again when it ends",
    Reason.COOLING_DOWN: "this playbook has just run here: decided again after its cool-down",
    Reason.BUDGET_SPENT: "the pack's actions of this hour are spent: decided again when there are some",
    Reason.COMPONENT_BUDGET_SPENT: "the component's actions of this hour are spent: decided again when there are some",
    Reason.PLAYBOOK_BUDGET_SPENT: "the playbook's runs of this hour are spent: decided again when there are some",
    Reason.GROUP_SHARE: "as many of its group as allowed are being acted on: decided again when one is done",
    Reason.MAINTENANCE: "it is in maintenance: decided again after it",
    Reason.SETTLING: "the component has just been acted on: tuned when that has settled",
    Reason.OSCILLATING: "it would be moved to and fro: decided again after a pause that doubles each time",
    Reason.FROZEN: "a freeze window is on: decided again after it",
    Reason.MIN_HEALTHY: "too few of its group would stay healthy: decided again when more are",
    Reason.TOO_MANY_TARGETS: "as many components as allowed are being acted on: decided again when one is done",
    Reason.SWITCHED_OFF: "the kill switch is on: decided again when it is off",
    Reason.INCIDENT_FIRST: "an open incident of the component goes before a prediction",
    Reason.SAME_AS_OTHER_CASE: "another case of this component already asks for the same",
    Reason.NO_PLAYBOOK: "no playbook is for this",
    Reason.NOT_IN_CARE: "the component stands in no pack",
    Reason.SYMPTOM_OF_OTHER: "only a symptom: the cause is dealt with in its own case",
    Reason.INCIDENT_GONE: "it is over by itself",
    Reason.REJECTED: "a person said no",
    Reason.EXPIRED: "nobody answered in time",
}
"""What each reason means, in words for people."""

TRANSIENT = frozenset(
    {
        Reason.BUSY,
        Reason.COOLING_DOWN,
        Reason.BUDGET_SPENT,
        Reason.FROZEN,
        Reason.MIN_HEALTHY,
        Reason.TOO_MANY_TARGETS,
        Reason.SWITCHED_OFF,
        Reason.INCIDENT_FIRST,
        Reason.SAME_AS_OTHER_CASE,
        Reason.STORM,
        Reason.AGENT_AWAY,
        Reason.COMPONENT_BUDGET_SPENT,
        Reason.PLAYBOOK_BUDGET_SPENT,
        Reason.GROUP_SHARE,
        Reason.MAINTENANCE,
        Reason.SETTLING,
        Reason.OSCILLATING,
        Reason.HELD_OFF,
    }
)
"""Refusals that time alone can lift: the case stays pending and is decided again."""
HARD_LIMITS = frozenset(
    {
        Reason.BUSY,
        Reason.BUDGET_SPENT,
        Reason.FROZEN,
        Reason.MIN_HEALTHY,
        Reason.TOO_MANY_TARGETS,
        Reason.SWITCHED_OFF,
        Reason.AGENT_AWAY,
        Reason.COMPONENT_BUDGET_SPENT,
        Reason.PLAYBOOK_BUDGET_SPENT,
        Reason.GROUP_SHARE,
    }
)
"""What holds for people's requests and approvals too. Cool-downs, thresholds and risk are theirs to overrule."""

GOVERNOR = HARD_LIMITS | {
    Reason.COOLING_DOWN,
    Reason.STORM,
    Reason.MAINTENANCE,
    Reason.SETTLING,
    Reason.OSCILLATING,
    Reason.INCIDENT_FIRST,
}
"""Refusals of the governor: not whether it is right to act, but whether now."""
