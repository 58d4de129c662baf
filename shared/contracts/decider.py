"""What the decider decides, and the commands that approve or reject."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from shared.contracts.base import CaseEvent, CaseKind, Category, Event, Probability, Severity, Token, Wire
from shared.packs.model import Component, Mode, Playbook


class Verdict(StrEnum):
    EXECUTE = "execute"
    ASK = "ask"
    OBSERVE = "observe"
    ABSTAIN = "abstain"


class CriterionScore(Wire):
    """What one criterion adds to a score: `worth` (0–1, more is better) × `weight` (share of all) = `contribution`."""

    name: str
    worth: Probability
    weight: Probability
    contribution: Probability
    words: str = ""


class Alternative(Wire):
    """A playbook that was considered."""

    playbook: str
    score: float
    criteria: dict[str, float] = {}
    """Each criterion's worth, 0–1."""
    rejected_because: str = ""
    """Empty for the chosen one."""
    component: str = ""
    """The one that it would be run on."""
    scores: tuple[CriterionScore, ...] = ()
    """Each criterion with its weight; their contributions add up to the score."""


class Plan(Wire):
    """Everything the healer needs: the playbook as it was when decided, for one component."""

    pack: str
    pack_version: int
    playbook: str
    spec: Playbook
    component: Token
    target: Component
    http_hosts: tuple[str, ...] = ()
    fallback: Playbook | None = None
    """The playbook that `then` names, when it names one."""
    epoch: Annotated[int, Field(ge=0)] = 0
    """Of the lease under which this is done: whoever acts refuses once it has heard of a higher one for the component.
    0: without a lease, as in a dry run."""
    lease_until: AwareDatetime | None = None
    """Nothing may be begun that can't end before; the running run has it renewed."""


class Counterfactual(Wire):
    """The smallest change that would have turned a decision, found by deciding again with it."""

    verdict: Verdict
    """What it would have been."""
    playbook: str | None = None
    changes: tuple[str, ...]
    """All of them together, in words with numbers."""


class HoldOff(Wire):
    """The case is part of a trial of what acting is worth: whether it was left alone, and with which probability."""

    held: bool
    share: Probability
    for_s: float


class Decision(CaseEvent):
    """A decision at one revision; `component` is the target. `decision_id` stays: an approval is the next revision."""

    SUBJECT: ClassVar[str] = "decider.decision.v1"

    decision_id: UUID
    revision: Annotated[int, Field(ge=1)] = 1
    verdict: Verdict
    reason: str
    """Name of the rule that decided: a metric label, a log field and the heart of the explanation."""
    category: Category
    signature: str
    pattern: str = ""
    confidence: Probability
    threshold: Probability
    risk: Probability
    risk_max: Probability
    mode: str
    dry_run: bool
    plan: Plan | None = None
    alternatives: tuple[Alternative, ...] = ()
    explanation: str
    expires_at: AwareDatetime | None = None
    """When an `ask` lapses."""
    decided_by: str = "homeostat"
    expected_success: Probability | None = None
    """Chance that the playbook helps; `confidence` is what it is at least with a probability of 80 %."""
    counterfactual: Counterfactual | None = None
    """None where no number or limit decided."""
    probability: Probability = 1.0
    """With which the same would be done in such a case."""
    hold_off: HoldOff | None = None


class LeaseState(StrEnum):
    HELD = "held"
    RELEASED = "released"
    """The run has ended."""
    LAPSED = "lapsed"
    """Nothing was heard of the run for longer than its lease: it may touch nothing any more."""


class Lease(Event):
    """The right to act on one component, which one decision has at a time (`state.decider.lease.v1.<component>`)."""

    SUBJECT: ClassVar[str] = "state.decider.lease.v1"

    component: Token
    epoch: Annotated[int, Field(ge=1)]
    """Rises by one with each lease of the component, and never falls."""
    decision_id: UUID
    playbook: str
    state: LeaseState
    until: AwareDatetime


class ProviderRecovered(CaseEvent):
    """The primary provider of `component` has been well for long enough: the case of going back to it."""

    SUBJECT: ClassVar[str] = "decider.recovered.v1"

    case_kind: CaseKind = CaseKind.RECOVERY
    provider: Token
    in_use: Token
    well_since: AwareDatetime
    waited_s: Annotated[float, Field(ge=0)]
    """How long it had to be well."""
    returns_of_the_day: Annotated[int, Field(ge=0)]
    """Ways back that were taken or tried within a day before; each doubles the wait."""


class Verb(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Answer(Event):
    """A person's answer to a decision that asks (`cmd.decider.answer`)."""

    SUBJECT: ClassVar[str] = "cmd.decider.answer"
    KEY: ClassVar[str] = ""

    decision_id: UUID
    verb: Verb
    by: Annotated[str, Field(min_length=1, max_length=200)]
    comment: Annotated[str, Field(max_length=1024)] = ""
    permissions: tuple[str, ...] = ()
    """What that person may do of what playbooks ask for in `required_permissions`; `*`: all of it."""
    revision: Annotated[int, Field(ge=1)] | None = None
    """The revision that was read: when the question has changed since, the answer is refused. Unset: whatever is
    asked now."""


class Answered(Wire):
    """Reply to `Answer`: what the decision is now, or why the answer was refused."""

    accepted: bool
    reason: str
    decision_id: UUID


class Simulate(Wire):
    """Asks what would be decided (`cmd.decider.simulate`); nothing is kept and nothing is touched."""

    component: Token
    category: Category
    confidence: Probability
    severity: Severity = Severity.CRITICAL
    pattern: str = ""
    signature: str = ""
    """By default `<category>:<pattern>`."""
    mode: Mode | None = None
    """As if the pack were in this mode."""
    attempts: tuple[str, ...] = ()
    """Playbooks that have been tried without help."""


class Simulated(Wire):
    """What the decision would be."""

    verdict: Verdict
    reason: str
    playbook: str | None
    component: str = ""
    """The one that it would be run on."""
    confidence: Probability
    threshold: Probability
    risk: Probability
    risk_max: Probability
    mode: str
    alternatives: tuple[Alternative, ...]
    explanation: str
    expected_outcome: str


class Recompute(Wire):
    """Has decisions made again from their stored inputs (`cmd.decider.recompute`)."""

    decision_id: UUID | None = None
    """By default the newest ones."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Difference(Wire):
    """A decision that came out otherwise when it was made again: which field, and how."""

    decision_id: UUID
    field: str
    stored: str
    again: str


class Recomputed(Wire):
    """Reply to `Recompute`."""

    checked: int
    same: int
    differences: tuple[Difference, ...] = ()
    verdict: Verdict | None = None
    """Of the one decision that was asked for, made again."""
    reason: str = ""
    explanation: str = ""


class CalibrationRequest(Wire):
    """Asks whether what is said to help with 90 % helps in nine of ten runs (`cmd.decider.calibration`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class CalibrationBin(Wire):
    """Runs whose chance to help was foretold as within [low, high)."""

    low: Probability
    high: Probability
    runs: int
    expected: Probability
    """Mean of what was foretold."""
    helped: Probability
    """Share of the runs that helped."""


class Calibration(Wire):
    """Reply to `CalibrationRequest`. All figures are null before the first run."""

    runs: int
    brier: float | None = None
    """Mean squared difference of chance and outcome: 0 is perfect, 0.25 is a coin's."""
    calibration_error: float | None = None
    """Mean distance of the curve from what was foretold, weighted by runs."""
    log_loss: float | None = None
    curve: tuple[CalibrationBin, ...] = ()


class Replay(Wire):
    """Has recorded decisions made under other rules (`cmd.decider.replay`); nothing is kept and nothing is touched."""

    policy: dict[str, JsonValue] = {}
    """Fields of a pack's policy; those that are left out stay as they were recorded."""
    mode: Mode | None = None
    playbooks: dict[str, Playbook] = {}
    """Added, or instead of those of the same name."""
    pack: Token | None = None
    """Only this pack's components change."""
    limit: Annotated[int, Field(ge=1, le=500)] = 200


class ReplayedDecision(Wire):
    """A decision that would have been another."""

    decision_id: UUID
    component: Token
    was: Verdict
    was_playbook: str | None
    would_be: Verdict
    would_be_playbook: str | None
    reason: str


class Worth(Wire):
    """Share of the decisions in which an action helps, with its 95 % interval."""

    value: float
    low: Probability
    high: Probability
    seen: Probability
    """Share of the decisions in which what would have been done was done; the rest is foretold, not measured."""


class Replayed(Wire):
    """Reply to `Replay`. Runs that have not ended are left out."""

    compared: int
    acted: int
    would_act: int
    differences: tuple[ReplayedDecision, ...] = ()
    worth: Worth | None = None
    """Of the rules as they were."""
    would_be_worth: Worth | None = None
