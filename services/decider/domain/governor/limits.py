"""Limits of how much may be done at once and in a row. Each refusal is lifted by time or by another run's end."""

from __future__ import annotations

from dataclasses import dataclass

from services.decider.domain.model import Inputs, Target
from services.decider.domain.vocabulary import Reason
from shared.packs import Category, FreezeWindow

SERVES_NOBODY = frozenset({Category.CRASH, Category.HANG})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that holds now."""

    reason: Reason
    words: str


def refusals(inputs: Inputs, target: Target, playbook: str, category: Category) -> list[Refusal]:
    """Every limit that holds now, the most basic first; empty: nothing is in the way."""
    found = (
        _switched_off(inputs),
        _busy(target),
        _frozen(inputs, target),
        _cooling(inputs, target, playbook),
        _budget(target),
        _targets(target),
        _min_healthy(target, category),
        Refusal(Reason.STORM, target.storm) if target.storm else None,
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
        if FreezeWindow.parse(window).covers(inputs.now):
            return Refusal(Reason.FROZEN, f"the freeze {window} (UTC) is on")
    return None


def _cooling(inputs: Inputs, target: Target, playbook: str) -> Refusal | None:
    until = target.ledger.cooling_until.get(playbook)
    if until is None or until <= inputs.now:
        return None
    return Refusal(Reason.COOLING_DOWN, f"{playbook} may run on {target.name} again at {until:%H:%M:%S} UTC")


def _budget(target: Target) -> Refusal | None:
    spent, allowed = target.ledger.granted_last_hour, target.policy.actions_per_hour
    if spent < allowed:
        return None
    return Refusal(Reason.BUDGET_SPENT, f"{spent} of {allowed} actions of this hour are spent in {target.pack}")


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
