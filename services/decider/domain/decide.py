"""The decision itself: from everything known to one verdict with its reason. The same inputs give the same ruling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.decider.domain.counterfactual import Counterfactual, flip
from services.decider.domain.explain import explain
from services.decider.domain.governor import Refusal, refusals
from services.decider.domain.holdoff import Trial, trial
from services.decider.domain.model import Cause, Declined, Inputs, Target
from services.decider.domain.options import PAGE_A_HUMAN, Option, has_remedy, options, relevant_causes
from services.decider.domain.practice import unproven
from services.decider.domain.strategy import pick
from services.decider.domain.vocabulary import (
    FAILURES,
    HARD_LIMITS,
    TRANSIENT,
    CaseKind,
    Moment,
    Reason,
    Result,
    Verdict,
)
from shared.packs import AutomationLevel, Category, Mode

ADVICE_HOLDS_S = 3_600.0
"""A recommendation rests on what was measured: one that had to wait for longer is not followed."""
NO_CAUSE = Cause("", Category.UNKNOWN, 0.0, "unknown:none")
WAITS_WITH_QUESTIONS = frozenset(
    {Reason.BUSY, Reason.COOLING_DOWN, Reason.SETTLING, Reason.OSCILLATING, Reason.INCIDENT_FIRST}
)
"""A person isn't asked about a component that is being mended, or has just been."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is decided. `option` is what is done, asked for, or would be done."""

    verdict: Verdict
    reason: Reason
    component: str
    cause: Cause
    option: Option | None
    considered: tuple[Option, ...]
    mode: Mode
    threshold: float
    risk_max: float
    dry_run: bool = False
    decided_by: str = "homeostat"
    expires_s: float | None = None
    probability: float = 1.0
    """With which the strategy takes this option in such a case."""
    detail: str = ""
    """The particulars of the reason, with numbers."""
    trial: Trial | None = None
    """Of what acting is worth, if the case is part of one."""
    flip: Counterfactual | None = None
    """The smallest change that would have turned it."""
    explanation: str = ""

    @property
    def is_transient(self) -> bool:
        return self.reason in TRANSIENT

    @property
    def confidence(self) -> float:
        return self.option.confidence if self.option else self.cause.confidence

    @property
    def risk(self) -> float:
        return self.option.risk if self.option else 0.0


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What the rules below look at."""

    inputs: Inputs
    considered: tuple[Option, ...]
    eligible: tuple[Option, ...]
    target: Target | None
    """Of the case's own component."""


def decide(inputs: Inputs) -> Ruling:
    """Never executes in mode `observe`, against a hard limit, or, unless a person asked for it or approved, below
    the threshold or above the risk limit."""
    ruling = rule(inputs)
    ruling = replace(ruling, flip=flip(inputs, ruling, rule))
    return replace(ruling, explanation=explain(inputs, ruling))


def rule(inputs: Inputs) -> Ruling:
    """The ruling alone, without its explanation."""
    outlook = _outlook(inputs)
    ruling = _before_choosing(outlook)
    if ruling is None and inputs.approval is not None:
        ruling = _approved(outlook)
    if ruling is None and inputs.case.kind is CaseKind.REQUEST:
        ruling = _requested(outlook)
    if ruling is None:
        ruling = _alone(outlook)
    return ruling


def choices(inputs: Inputs) -> list[Option]:
    """What the strategy has to choose from, the best first: all that may be run alone and now on one component. With
    fewer than two there is nothing to choose."""
    return _free(_outlook(inputs))


def _outlook(inputs: Inputs) -> _Outlook:
    considered = tuple(options(inputs))
    eligible = tuple(o for o in considered if not o.rejected_because) or _second_chances(inputs, considered)
    return _Outlook(inputs, considered, eligible, inputs.targets.get(inputs.case.component))


def _second_chances(inputs: Inputs, considered: Sequence[Option]) -> tuple[Option, ...]:
    """When all was tried and undone cleanly, and nobody wants a person paged, trying again is all that is left."""
    last = inputs.case.last_failure
    if last is None or last.result is not Result.ROLLED_BACK:
        return ()
    return tuple(replace(o, rejected_because="") for o in considered if o.failed_before)


# ---- rules that need no choice


def _before_choosing(outlook: _Outlook) -> Ruling | None:
    case = outlook.inputs.case
    if not case.is_open:
        return _abstain(outlook, Reason.INCIDENT_GONE, "")
    if outlook.target is not None and outlook.target.component.practice and case.kind is not CaseKind.REQUEST:
        return _rule(outlook, Verdict.OBSERVE, Reason.SILENCED, None, detail=f"{case.component} is a practice target")
    if case.silenced and outlook.inputs.approval is None:
        return _rule(outlook, Verdict.OBSERVE, Reason.SILENCED, None, detail=case.silenced)
    if outlook.target is None and not outlook.considered:
        return _abstain(outlook, Reason.NOT_IN_CARE, f"{case.component} is in no pack")
    if case.symptom_of is not None and not _helps_itself(outlook):
        culprit = case.causes[0].component if case.causes else "another component"
        return _abstain(outlook, Reason.SYMPTOM_OF_OTHER, f"the cause is at {culprit}")
    age_s = (outlook.inputs.now - case.opened_at).total_seconds()
    if case.kind is CaseKind.RECOMMENDATION and age_s > ADVICE_HOLDS_S:
        return _abstain(outlook, Reason.EXPIRED, "what it was measured on is too long ago")
    if case.forecast is not None and outlook.target is not None:
        if case.forecast.moment is Moment.GONE:
            return _abstain(outlook, Reason.INCIDENT_GONE, "it is no longer expected")
        if case.forecast.moment is Moment.WAIT:
            words = f"{case.forecast.metric} reaches its limit in about {case.forecast.eta_s:.0f} s"
            return _rule(outlook, Verdict.OBSERVE, Reason.AWAITING_QUIET_MOMENT, None, detail=words)
        if outlook.target.ledger.incident_open:
            return _abstain(outlook, Reason.INCIDENT_FIRST, f"{case.component} has an open incident")
    return None


def _helps_itself(outlook: _Outlook) -> bool:
    """A caller acts on its own when nothing can be done about its callee, and there is something it can do."""
    case = outlook.inputs.case
    culprit = case.causes[0] if case.causes else NO_CAUSE
    if culprit.component == case.component or not outlook.considered:
        return False
    return case.culprit_unaided or not has_remedy(outlook.inputs, culprit)


# ---- a person wants it


def _approved(outlook: _Outlook) -> Ruling:
    """What was asked for and approved, as far as it is still possible."""
    approval = outlook.inputs.approval
    assert approval is not None
    wanted = (approval.component, approval.playbook)
    option = next((o for o in outlook.considered if (o.component, o.playbook) == wanted), None)
    if option is None or (option.rejected_because and not option.failed_before):
        why = option.rejected_because if option else "the pack no longer has it for this"
        return _abstain(outlook, Reason.NO_PLAYBOOK, f"{approval.playbook} can't be run: {why}")
    reason = Reason.OVERRIDDEN if approval.overrides else Reason.APPROVED
    return _for_a_person(outlook, option, reason, approval.by, approval.permissions)


def _requested(outlook: _Outlook) -> Ruling:
    requested = outlook.inputs.case.requested
    assert requested is not None
    target = outlook.target
    if target is not None and (outlook.inputs.now - outlook.inputs.case.opened_at).total_seconds() > (
        target.policy.ask_expires_s
    ):
        return _abstain(outlook, Reason.EXPIRED, "the limits did not let it run in time")
    if not outlook.eligible:
        why = outlook.considered[0].rejected_because if outlook.considered else "its pack has no such playbook"
        return _abstain(outlook, Reason.NO_PLAYBOOK, f"{requested.playbook} on {outlook.inputs.case.component}: {why}")
    return _for_a_person(outlook, outlook.eligible[0], Reason.MANUAL, requested.by, requested.permissions)


def _for_a_person(outlook: _Outlook, option: Option, reason: Reason, by: str, permissions: tuple[str, ...]) -> Ruling:
    """People overrule thresholds, risk, cool-downs and automation levels, never the mode, the hard limits or what
    they are not permitted."""
    target = outlook.inputs.targets[option.component]
    if lacking := option.spec.lacks(permissions):
        words = f"{option.playbook} needs {', '.join(lacking)}, which {by} is not permitted"
        return _abstain(outlook, Reason.NOT_PERMITTED, words, option)
    if target.mode is Mode.OBSERVE:
        return _rule(outlook, Verdict.OBSERVE, Reason.MODE_OBSERVE, option, dry_run=True, by=by)
    for refusal in refusals(outlook.inputs, target, option):
        if refusal.reason in HARD_LIMITS:
            return _abstain(outlook, refusal.reason, refusal.words, option)
    return _rule(outlook, Verdict.EXECUTE, reason, option, by=by)


# ---- Homeostat alone


def _alone(outlook: _Outlook) -> Ruling:
    inputs = outlook.inputs
    declined = inputs.case.declined
    if declined is not None and declined.reason is Reason.REJECTED:
        return _rejected(outlook, declined)
    calls_for_a_person = _spent(outlook)
    option, probability = _choose(outlook)
    if option is None and calls_for_a_person is None:
        return _abstain(outlook, Reason.NO_PLAYBOOK, _nothing_fits(outlook))
    target = inputs.targets[option.component] if option else outlook.target
    if target is None:
        return _abstain(outlook, Reason.NOT_IN_CARE, f"{inputs.case.component} is in no pack")
    if target.mode is Mode.OBSERVE:
        return _rule(outlook, Verdict.OBSERVE, Reason.MODE_OBSERVE, option, dry_run=option is not None)
    refused = refusals(inputs, target, option) if option else []
    question = calls_for_a_person or (_question(inputs.now, option, target) if option else None)
    if question is not None:
        return _ask(outlook, question, option, target, refused)
    assert option is not None
    if refused:
        return _abstain(outlook, refused[0].reason, refused[0].words, option)
    return _act(outlook, option, target, probability)


def _act(outlook: _Outlook, option: Option, target: Target, probability: float) -> Ruling:
    """Runs it, unless chance has it left alone for a while."""
    drawn = trial(outlook.inputs, target)
    if drawn is None:
        return replace(_rule(outlook, Verdict.EXECUTE, Reason.ACT, option), probability=probability)
    if drawn.held and drawn.left_s > 0:
        words = f"for {drawn.left_s:.0f} s; {drawn.share:.0%} of such cases are"
        ruling = _rule(outlook, Verdict.ABSTAIN, Reason.HELD_OFF, option, detail=words, expires_s=drawn.left_s)
        return replace(ruling, trial=drawn)
    acting = 1.0 if drawn.held else 1.0 - drawn.share
    ruling = _rule(outlook, Verdict.EXECUTE, Reason.ACT, option)
    return replace(ruling, probability=round(probability * acting, 6), trial=None if drawn.held else drawn)


def _choose(outlook: _Outlook) -> tuple[Option | None, float]:
    """What follows a failed playbook goes first; else what the strategy takes of all that may be done alone; else the
    best to ask for. With the probability of taking it."""
    if not outlook.eligible:
        return None, 1.0
    free = _free(outlook)
    if not free:
        return outlook.eligible[0], 1.0
    inputs = outlook.inputs
    seed = f"{inputs.case.id}/{len(inputs.case.tried)}"
    taken, probability = pick(inputs.targets[free[0].component].policy.strategy, [o.posterior for o in free], seed)
    return free[taken], probability


def _free(outlook: _Outlook) -> list[Option]:
    """Of what may be done alone: what no limit forbids now on the component of the best. If a limit forbids all of it,
    or the best of it and nothing else is to be tried, that best, which then waits."""
    inputs = outlook.inputs
    if not outlook.eligible or outlook.eligible[0].follows:
        return []
    alone = [o for o in outlook.eligible if _question(inputs.now, o, inputs.targets[o.component]) is None]
    if not alone:
        return []
    best = alone[0]
    if inputs.targets[best.component].policy.strategy == "fixed" and _held(inputs, best):
        return [best]
    return [o for o in alone if o.component == best.component and not _held(inputs, o)] or [best]


def _held(inputs: Inputs, option: Option) -> bool:
    return bool(refusals(inputs, inputs.targets[option.component], option))


def _question(now: datetime, option: Option, target: Target) -> Refusal | None:
    """Why a person must be asked before this is done; None: it may be done."""
    if option.risk > option.risk_max:
        return Refusal(Reason.RISK_TOO_HIGH, f"{option.risk_words}; the limit is {option.risk_max:.0%}")
    if lacking := option.spec.lacks(target.policy.permissions):
        words = f"{option.playbook} needs {', '.join(lacking)}, which the policy of {target.pack} does not permit"
        return Refusal(Reason.NOT_PERMITTED, words)
    if target.mode is Mode.ASSIST:
        return Refusal(Reason.MODE_ASSIST, f"{target.pack} is in mode assist")
    if option.level is AutomationLevel.MANUAL:
        return Refusal(Reason.PLAYBOOK_MANUAL, f"{option.playbook} is manual")
    if option.standing is not None and option.standing.level is Mode.ASSIST:
        return Refusal(Reason.AUTONOMY_LOST, f"{option.playbook}: {option.standing.words}")
    if option.level is AutomationLevel.SEMI_AUTO:
        return Refusal(Reason.PLAYBOOK_SEMI_AUTO, f"{option.playbook} is semi-auto")
    if option.confidence < option.threshold:
        return Refusal(Reason.BELOW_THRESHOLD, f"{option.confidence:.0%} sure, {option.threshold:.0%} is needed")
    return unproven(now, target, option.playbook, option.spec)


def _spent(outlook: _Outlook) -> Refusal | None:
    """Whether what was tried calls for a person."""
    case, target = outlook.inputs.case, outlook.target
    allowed = target.policy.max_attempts if target else 1
    runs = sum(one.result is not Result.SKIPPED for one in case.tried)
    if runs >= allowed:
        return Refusal(Reason.ATTEMPTS_SPENT, f"{runs} of {allowed} attempts are spent")
    last = case.last_failure
    if last is None:
        return None
    if not last.changed and outlook.eligible:
        return None  # everything is as it was before: the next best is as good a first attempt
    home = outlook.inputs.targets.get(last.component)
    failed = home.playbooks.get(last.playbook) if home else None
    if failed is not None and failed.then == PAGE_A_HUMAN:
        return Refusal(Reason.ESCALATED, f"{last.playbook} ended {last.result.value}; then: {PAGE_A_HUMAN}")
    if last.result is Result.LOST:
        return Refusal(Reason.ESCALATED, f"nothing was heard of the run of {last.playbook} within its lease")
    if last.result in FAILURES and not outlook.eligible:
        return Refusal(Reason.ESCALATED, f"{last.playbook} ended {last.result.value}, and nothing else is left to try")
    return None


def _ask(
    outlook: _Outlook, question: Refusal, option: Option | None, target: Target, refused: Sequence[Refusal]
) -> Ruling:
    for refusal in refused:
        if refusal.reason in WAITS_WITH_QUESTIONS:
            return _abstain(outlook, refusal.reason, refusal.words, option)
    declined = outlook.inputs.case.declined
    if declined is not None and _answers(declined, option, target):
        return _abstain(outlook, declined.reason, "", option)
    if option is not None and option.playbook in target.ledger.asked_elsewhere:
        words = f"another case asks for {option.playbook} on {option.component}"
        return _abstain(outlook, Reason.SAME_AS_OTHER_CASE, words, option)
    return _rule(
        outlook, Verdict.ASK, question.reason, option, detail=question.words, expires_s=target.policy.ask_expires_s
    )


def _rejected(outlook: _Outlook, declined: Declined) -> Ruling:
    """A no settles the case, until it reopens, gets worse, or has another cause."""
    no_to = (declined.component, declined.playbook)
    option = next((o for o in outlook.considered if (o.component, o.playbook) == no_to), None)
    return _rule(outlook, Verdict.ABSTAIN, Reason.REJECTED, option, by=declined.by)


def _answers(declined: Declined, option: Option | None, target: Target) -> bool:
    """A question that lapsed isn't repeated, but another one may be put."""
    asked = (option.component, option.playbook) if option else (target.name, "")
    return asked == (declined.component, declined.playbook)


def _nothing_fits(outlook: _Outlook) -> str:
    if outlook.considered:
        return "; ".join(f"{o.playbook}: {o.rejected_because}" for o in outlook.considered[:5])
    causes = relevant_causes(outlook.inputs.case)
    named = ", ".join(f"{c.category.value} of {c.component}" for c in causes[:3]) or "what is known"
    return f"no playbook is for {named}"


# ---- making rulings


def _abstain(outlook: _Outlook, reason: Reason, detail: str, option: Option | None = None) -> Ruling:
    return _rule(outlook, Verdict.ABSTAIN, reason, option, detail=detail)


def _rule(
    outlook: _Outlook,
    verdict: Verdict,
    reason: Reason,
    option: Option | None,
    *,
    dry_run: bool = False,
    by: str = "homeostat",
    detail: str = "",
    expires_s: float | None = None,
) -> Ruling:
    case = outlook.inputs.case
    target = outlook.inputs.targets.get(option.component) if option else outlook.target
    cause = option.cause if option else (case.causes[0] if case.causes else NO_CAUSE)
    return Ruling(
        verdict=verdict,
        reason=reason,
        component=option.component if option else case.component,
        cause=cause,
        option=option,
        considered=outlook.considered,
        mode=target.mode if target else Mode.OBSERVE,
        threshold=option.threshold if option else (target.policy.confidence if target else 1.0),
        risk_max=target.policy.risk_max if target else 0.0,
        dry_run=dry_run,
        decided_by=by,
        expires_s=expires_s,
        detail=detail,
    )
