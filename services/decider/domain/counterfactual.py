"""The smallest change that would have turned a decision: found, and proved, by deciding again with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from services.decider.domain.model import Inputs, Target
from services.decider.domain.vocabulary import Moment, Reason, Result, Verdict
from shared.packs import AutomationLevel, Mode
from shared.packs.schedule import Schedule

if TYPE_CHECKING:
    from services.decider.domain.decide import Ruling

type Rule = Callable[[Inputs], Ruling]

MOST_CHANGES = 6
A_HAIR = 1e-4


class Lever(StrEnum):
    """What is changed."""

    CONFIDENCE = "confidence"
    RISK = "risk"
    MODE = "mode"
    LEVEL = "automation-level"
    KILL_SWITCH = "kill-switch"
    BUSY = "busy"
    FREEZE = "freeze"
    COOL_DOWN = "cool-down"
    BUDGET = "budget"
    TARGETS = "targets"
    MIN_HEALTHY = "min-healthy"
    GROUP_SHARE = "group-share"
    MAINTENANCE = "maintenance"
    SETTLE = "settle"
    ATTEMPTS = "attempts"
    PRACTICE = "practice"
    AGENT = "agent"
    ANSWER = "answer"
    OTHER_CASE = "other-case"
    INCIDENT = "incident"
    MOMENT = "moment"
    AUTONOMY = "autonomy"
    HOLD_OFF = "hold-off"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing otherwise than it was."""

    lever: Lever
    words: str
    needs: float | None = None
    has: float | None = None


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """All of `changes` together give `verdict`. Each takes away what stood in the way after those before it."""

    verdict: Verdict
    playbook: str | None
    changes: tuple[Change, ...]

    @property
    def words(self) -> str:
        would = {Verdict.EXECUTE: "run", Verdict.ASK: "asked", Verdict.OBSERVE: "watched"}.get(self.verdict, "waited")
        what = f" {self.playbook}" if self.verdict is Verdict.EXECUTE else ""
        return f"would have {would}{what} with {' and '.join(change.words for change in self.changes)}"


def flip(inputs: Inputs, ruling: Ruling, rule: Rule) -> Counterfactual | None:
    """What would have made it act, or kept it from acting; None where no number or limit decided."""
    if ruling.verdict is Verdict.EXECUTE:
        return _margin(inputs, ruling, rule) if ruling.reason is Reason.ACT else None
    made: list[tuple[Change, Inputs]] = []
    tried, now = inputs, ruling
    while now.verdict is not Verdict.EXECUTE and len(made) < MOST_CHANGES:
        step = _lift(tried, now)
        if step is None:
            return None
        made.append(step)
        tried, now = step[1], rule(step[1])
    if now.verdict is not Verdict.EXECUTE:
        return None
    return Counterfactual(now.verdict, now.option.playbook if now.option else None, tuple(c for c, _ in made))


# ---- towards acting: what stands in the way, one after the other


def _lift(inputs: Inputs, ruling: Ruling) -> tuple[Change, Inputs] | None:
    """The change that takes the ruling's reason away, and the inputs with it."""
    target = inputs.targets.get(ruling.component)
    if ruling.reason is Reason.SWITCHED_OFF:
        return Change(Lever.KILL_SWITCH, "the kill switch off"), replace(inputs, switched_off=False)
    if ruling.reason in {Reason.REJECTED, Reason.EXPIRED} and inputs.case.declined is not None:
        case = replace(inputs.case, declined=None)
        words = f"no refusal by {ruling.decided_by}" if ruling.reason is Reason.REJECTED else "an answer in time"
        return Change(Lever.ANSWER, words), replace(inputs, case=case)
    if ruling.reason is Reason.AWAITING_QUIET_MOMENT and inputs.case.forecast is not None:
        forecast = replace(inputs.case.forecast, moment=Moment.QUIET)
        change = Change(Lever.MOMENT, "less traffic, or less time left")
        return change, replace(inputs, case=replace(inputs.case, forecast=forecast))
    if ruling.reason is Reason.AUTONOMY_LOST and ruling.option is not None:
        kept = tuple(one for one in inputs.standings if one != ruling.option.standing)
        given = tuple(replace(one, level=Mode.AUTO) for one in inputs.standings if one == ruling.option.standing)
        words = f"{ruling.option.playbook} trusted to act alone on {ruling.cause.signature}"
        return Change(Lever.AUTONOMY, words), replace(inputs, standings=kept + given)
    if ruling.reason is Reason.ATTEMPTS_SPENT:
        return _more_attempts(inputs)
    if target is None:
        return None
    lifted = _of_policy(inputs, ruling, target) or _of_surroundings(ruling, target) or _of_option(ruling, target)
    return (lifted[0], _with(inputs, lifted[1])) if lifted else None


def _more_attempts(inputs: Inputs) -> tuple[Change, Inputs] | None:
    home = inputs.targets.get(inputs.case.component)
    if home is None:
        return None
    needs = 1 + sum(one.result is not Result.SKIPPED for one in inputs.case.tried)
    has = home.policy.max_attempts
    change = Change(Lever.ATTEMPTS, f"at least {needs} attempts allowed ({has} are)", needs, has)
    return change, _with(inputs, _policy(home, max_attempts=needs))


def _of_policy(inputs: Inputs, ruling: Ruling, target: Target) -> tuple[Change, Target] | None:
    policy, ledger = target.policy, target.ledger
    match ruling.reason:
        case Reason.FROZEN:
            on = [window for window in policy.freeze if Schedule.parse(window).covers(inputs.now)]
            rest = tuple(window for window in policy.freeze if window not in on)
            return Change(Lever.FREEZE, f"no freeze ({', '.join(on)})"), _policy(target, freeze=rest)
        case Reason.BUDGET_SPENT:
            needs, has = ledger.granted_last_hour + 1, policy.actions_per_hour
            change = Change(Lever.BUDGET, f"at least {needs} actions an hour allowed ({has} are)", needs, has)
            return change, _policy(target, actions_per_hour=needs)
        case Reason.COMPONENT_BUDGET_SPENT:
            needs, has = ledger.granted_here_last_hour + 1, policy.component_actions_per_hour
            words = f"at least {needs} actions an hour allowed on {target.name} ({has} are)"
            return Change(Lever.BUDGET, words, needs, has), _policy(target, component_actions_per_hour=needs)
        case Reason.PLAYBOOK_BUDGET_SPENT if ruling.option is not None:
            name = ruling.option.playbook
            needs = ledger.playbook_last_hour.get(name, 0) + 1
            words = f"at least {needs} runs of {name} an hour allowed ({ruling.option.spec.actions_per_hour} are)"
            return Change(Lever.BUDGET, words, needs), _playbook(target, name, actions_per_hour=needs)
        case Reason.GROUP_SHARE:
            words = f"all of its group to be acted on at once ({policy.max_group_share:.0%} may)"
            return Change(Lever.GROUP_SHARE, words, 1.0, policy.max_group_share), _policy(target, max_group_share=1.0)
        case Reason.SETTLING | Reason.OSCILLATING:
            words = f"no time to settle ({policy.settle_s:g} s)"
            return Change(Lever.SETTLE, words, 0.0, policy.settle_s), _policy(target, settle_s=0.0)
        case Reason.HELD_OFF:
            return Change(Lever.HOLD_OFF, "no hold-off at random"), _policy(target, hold_off=None)
        case Reason.TOO_MANY_TARGETS:
            needs, has = len({*ledger.busy_targets} - {target.name}) + 1, policy.max_targets_at_once
            change = Change(Lever.TARGETS, f"at least {needs} targets at once allowed ({has} are)", needs, has)
            return change, _policy(target, max_targets_at_once=needs)
        case Reason.MIN_HEALTHY if target.group is not None:
            group, least = target.group, policy.min_healthy[target.group.name]
            share = group.others_healthy / group.size
            words = f"at most {share:.0%} of group {group.name} to be kept healthy ({least:.0%} are)"
            lowered = {**policy.min_healthy, group.name: share}
            return Change(Lever.MIN_HEALTHY, words, share, least), _policy(target, min_healthy=lowered)
        case Reason.RISK_TOO_HIGH if ruling.option is not None:
            risk, limit = ruling.option.risk, policy.risk_max
            words = f"a risk limit of at least {_percent(risk, limit)} (it is {_percent(limit, risk)})"
            return Change(Lever.RISK, words, risk, limit), _policy(target, risk_max=risk)
        case _:
            return None


def _of_surroundings(ruling: Ruling, target: Target) -> tuple[Change, Target] | None:
    ledger, playbook = target.ledger, ruling.option.playbook if ruling.option else ""
    match ruling.reason:
        case Reason.BUSY:
            idle = tuple(name for name in ledger.busy_targets if name != target.name)
            return Change(Lever.BUSY, f"no other run on {target.name}"), _ledger(target, busy_targets=idle)
        case Reason.COOLING_DOWN:
            until = {name: at for name, at in ledger.cooling_until.items() if name != playbook}
            return Change(Lever.COOL_DOWN, f"the cool-down of {playbook} over"), _ledger(target, cooling_until=until)
        case Reason.SAME_AS_OTHER_CASE:
            others = tuple(name for name in ledger.asked_elsewhere if name != playbook)
            return Change(Lever.OTHER_CASE, "no other case asking for it"), _ledger(target, asked_elsewhere=others)
        case Reason.AGENT_AWAY:
            return Change(Lever.AGENT, "its agent there"), replace(target, agent_away="")
        case Reason.MAINTENANCE:
            words = f"no maintenance ({', '.join(target.maintenance)})"
            return Change(Lever.MAINTENANCE, words), replace(target, maintenance=())
        case Reason.INCIDENT_FIRST:
            return Change(Lever.INCIDENT, "no open incident there"), _ledger(target, incident_open=False)
        case Reason.MODE_ASSIST | Reason.MODE_OBSERVE:
            return Change(Lever.MODE, f"{target.pack} in mode auto"), replace(target, mode=Mode.AUTO)
        case _:
            return None


def _of_option(ruling: Ruling, target: Target) -> tuple[Change, Target] | None:
    option = ruling.option
    if option is None:
        return None
    if ruling.reason in {Reason.PLAYBOOK_MANUAL, Reason.PLAYBOOK_SEMI_AUTO}:
        return Change(Lever.LEVEL, f"{option.playbook} full-auto"), _playbook(
            target, option.playbook, automation_level=AutomationLevel.FULL_AUTO
        )
    if ruling.reason is Reason.NOT_PRACTISED:
        rest = {name: fact for name, fact in target.practised.items() if name != option.playbook}
        free = _policy(replace(target, practised=rest), require_practice=False)
        return Change(Lever.PRACTICE, f"a practice that {option.playbook} has passed as it is now"), free
    if ruling.reason is Reason.BELOW_THRESHOLD:
        needs, has = option.threshold, option.confidence
        words = f"confidence of at least {_percent(needs, has)} (it is {_percent(has, needs)})"
        return Change(Lever.CONFIDENCE, words, needs, has), _threshold(target, option.playbook, has)
    return None


# ---- away from acting: the narrower of its margins


def _margin(inputs: Inputs, ruling: Ruling, rule: Rule) -> Counterfactual | None:
    option, target = ruling.option, inputs.targets.get(ruling.component)
    if option is None or target is None:
        return None
    sure = Change(
        Lever.CONFIDENCE,
        f"confidence below {_percent(option.threshold, option.confidence)} "
        f"(it is {_percent(option.confidence, option.threshold)})",
        option.threshold,
        option.confidence,
    )
    safe = Change(
        Lever.RISK,
        f"risk above {_percent(option.risk_max, option.risk)} (it is {_percent(option.risk, option.risk_max)})",
        option.risk_max,
        option.risk,
    )
    tries: list[tuple[float, Change, Target]] = []
    if option.confidence + A_HAIR <= 1.0:
        stricter = _threshold(target, option.playbook, option.confidence + A_HAIR)
        tries.append((option.confidence - option.threshold, sure, stricter))
    if option.risk - A_HAIR >= 0.0:
        tries.append((option.risk_max - option.risk, safe, _policy(target, risk_max=option.risk - A_HAIR)))
    for _, change, changed in sorted(tries, key=lambda one: one[0]):
        now = rule(_with(inputs, changed))
        playbook = now.option.playbook if now.option else None
        if (now.verdict, now.component, playbook) != (Verdict.EXECUTE, ruling.component, option.playbook):
            return Counterfactual(now.verdict, playbook, (change,))
    return None


# ---- inputs, changed


def _with(inputs: Inputs, target: Target) -> Inputs:
    return replace(inputs, targets={**inputs.targets, target.name: target})


def _policy(target: Target, **changed: object) -> Target:
    return replace(target, policy=target.policy.model_copy(update=changed))


def _ledger(target: Target, **changed: object) -> Target:
    return replace(target, ledger=replace(target.ledger, **changed))  # type: ignore[arg-type]


def _playbook(target: Target, name: str, **changed: object) -> Target:
    if name not in target.playbooks:
        return target
    return replace(target, playbooks={**target.playbooks, name: target.playbooks[name].model_copy(update=changed)})


def _threshold(target: Target, playbook: str, threshold: float) -> Target:
    """A playbook's own threshold; that of the policy for one made of a recommendation."""
    if playbook in target.playbooks:
        return _playbook(target, playbook, confidence=threshold)
    return _policy(target, confidence=threshold, confidence_reversible=threshold)


def _percent(value: float, beside: float) -> str:
    """Whole percents, unless that would make two numbers look the same."""
    whole = f"{value:.0%}"
    return whole if whole != f"{beside:.0%}" or value == beside else f"{value:.2%}"
