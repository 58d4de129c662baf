"""Limits of how much may be done at once and in a row. Each refusal is lifted by time or by another run's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.decider.domain.governor.damping import damped_until, moves_of
from services.decider.domain.model import Inputs, Target
from services.decider.domain.vocabulary import CaseKind, Reason
from shared.packs import Category
from shared.packs.schedule import Schedule

if TYPE_CHECKING:
    from services.decider.domain.options import Option

SERVES_NOBODY = frozenset({Category.CRASH, Category.HANG})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that holds now."""

    reason: Reason
    words: str


def refusals(inputs: Inputs, target: Target, option: Option) -> list[Refusal]:
    """Every limit that holds now, the most basic first; empty: nothing is in the way."""
    found = (
        _switched_off(inputs),
        Refusal(Reason.AGENT_AWAY, target.agent_away) if target.agent_away else None,
        _busy(target),
        _frozen(inputs, target),
        _cooling(inputs, target, option.playbook),
        *_budgets(target, option),
        _targets(target),
        _min_healthy(target, option.cause.category),
        _group_share(target, option.cause.category),
        Refusal(Reason.STORM, target.storm) if target.storm else None,
        _maintained(inputs, target),
        *_tuning(inputs, target),
        _oscillating(inputs, target, option),
    )
    return [refusal for refusal in found if refusal is not None]


def _switched_off(inputs: Inputs) -> Refusal | None:
    return Refusal(Reason.SWITCHED_OFF, "the kill switch is on") if inputs.switched_off else None


def _busy(target: Target) -> Refusal | None:
    if target.name not in target.ledger.busy_targets:
        return None
    return Refusal(Reason.BUSY, f"another run is on {target.name}")


def _frozen(inputs: Inputs, target: Target) -> Refusal | None:
    for window in target.policy.freeze:
        if Schedule.parse(window).covers(inputs.now):
            return Refusal(Reason.FROZEN, f"the freeze {window} (UTC) is on")
    return None


def _maintained(inputs: Inputs, target: Target) -> Refusal | None:
    """What happens in maintenance is people's doing: neither healed nor tuned."""
    for window in target.maintenance:
        if Schedule.parse(window).covers(inputs.now):
            return Refusal(Reason.MAINTENANCE, f"{target.name} is in maintenance ({window}, UTC)")
    return None


def _cooling(inputs: Inputs, target: Target, playbook: str) -> Refusal | None:
    until = target.ledger.cooling_until.get(playbook)
    if until is None or until <= inputs.now:
        return None
    return Refusal(Reason.COOLING_DOWN, f"{playbook} may run on {target.name} again at {until:%H:%M:%S} UTC")


def _budgets(target: Target, option: Option) -> list[Refusal]:
    ledger, policy = target.ledger, target.policy
    budgets = (
        (Reason.BUDGET_SPENT, ledger.granted_last_hour, policy.actions_per_hour, f"in {target.pack}"),
        (
            Reason.COMPONENT_BUDGET_SPENT,
            ledger.granted_here_last_hour,
            policy.component_actions_per_hour,
            f"on {target.name}",
        ),
        (
            Reason.PLAYBOOK_BUDGET_SPENT,
            ledger.playbook_last_hour.get(option.playbook, 0),
            option.spec.actions_per_hour,
            f"of {option.playbook}",
        ),
    )
    return [
        Refusal(reason, f"{spent} of {allowed} actions of this hour are spent {where}")
        for reason, spent, allowed, where in budgets
        if allowed is not None and spent >= allowed
    ]


def _targets(target: Target) -> Refusal | None:
    others = {name for name in target.ledger.busy_targets if name != target.name}
    allowed = target.policy.max_targets_at_once
    if len(others) < allowed:
        return None
    return Refusal(Reason.TOO_MANY_TARGETS, f"{len(others)} of {allowed} targets are being acted on in {target.pack}")


def _min_healthy(target: Target, category: Category) -> Refusal | None:
    """Acting may not take a group below its minimum. Starting what is down anyway takes nothing away, and a member
    that still half works is mended one at a time: to forbid that too would leave the group down for ever."""
    group = target.group
    least = target.policy.min_healthy.get(group.name) if group else None
    if group is None or least is None or group.size == 0:
        return None
    if group.others_healthy / group.size >= least:
        return None
    if target.is_down and (category in SERVES_NOBODY or group.others_busy == 0):
        return None
    words = f"{group.others_healthy} of {group.size} in group {group.name} would stay healthy, {least:.0%} must"
    return Refusal(Reason.MIN_HEALTHY, words)


def _group_share(target: Target, category: Category) -> Refusal | None:
    """Of a group only so many are acted on at once, so that what is wrong with an action shows before all had it."""
    group = target.group
    if group is None or (target.is_down and category in SERVES_NOBODY):
        return None
    allowed = max(1, int(group.size * target.policy.max_group_share))
    if group.others_busy < allowed:
        return None
    words = f"{group.others_busy} of at most {allowed} of group {group.name} are being acted on"
    return Refusal(Reason.GROUP_SHARE, words)


def _tuning(inputs: Inputs, target: Target) -> list[Refusal]:
    """Nothing is tuned where something is being, or has just been, healed: neither would know what came of it."""
    if inputs.case.kind is not CaseKind.RECOMMENDATION:
        return []
    found = []
    if target.ledger.incident_open or target.is_down:
        found.append(Refusal(Reason.INCIDENT_FIRST, f"{target.name} is in trouble: nothing is tuned meanwhile"))
    acted_at = target.ledger.last_acted_at
    if acted_at is not None and (inputs.now - acted_at).total_seconds() < target.policy.settle_s:
        words = f"{target.name} was acted on at {acted_at:%H:%M:%S} UTC and settles for {target.policy.settle_s:g} s"
        found.append(Refusal(Reason.SETTLING, words))
    return found


def _oscillating(inputs: Inputs, target: Target, option: Option) -> Refusal | None:
    for setting, direction in moves_of(inputs.case, target, option.spec).items():
        until = damped_until(target.ledger.moves, setting, direction, target.policy.settle_s)
        if until is not None and until > inputs.now:
            words = f"{setting} was moved the other way: it may be moved back at {until:%H:%M:%S} UTC"
            return Refusal(Reason.OSCILLATING, words)
    return None
