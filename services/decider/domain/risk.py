"""How much may go wrong: what the actions do and whether they can be undone, who depends on the target, what its users
are still owed, the hour, and what else is being done. Confidence is no part of it, and can't make up for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.decider.domain.model import Target
from shared.packs import Criticality, Playbook
from shared.packs.schedule import Schedule

BASE_RISKS = {
    "file.restore_last_good": 0.10,
    "notify.send": 0.0,
    "process.reload": 0.10,
    "systemd.reload": 0.10,
    "kubernetes.uncordon": 0.10,
    "kubernetes.cordon": 0.15,
    "file.set": 0.15,
    "config.step": 0.15,
    "routing.half_open": 0.10,
    "routing.reset": 0.10,
    "routing.failover": 0.15,
    "routing.failback": 0.15,
    "routing.open": 0.15,
    "redis.config_set": 0.15,
    "postgres.connection_limit": 0.15,
    "jobs.mark_incomplete": 0.15,
    "process.start": 0.15,
    "docker.start": 0.15,
    "systemd.start": 0.15,
    "process.restart": 0.20,
    "docker.restart": 0.20,
    "systemd.restart": 0.20,
    "kubernetes.restart": 0.20,
    "kubernetes.scale": 0.20,
    "git.revert": 0.25,
    "kubernetes.rollback": 0.25,
    "nats.request": 0.25,
    "redis.invalidate": 0.20,
    "postgres.terminate_idle": 0.20,
    "jobs.clean_up": 0.20,
    "jobs.requeue": 0.25,
    "http.call": 0.25,
    "webhook.post": 0.25,
    "sql.execute": 0.30,
    "process.stop": 0.35,
    "docker.stop": 0.35,
    "systemd.stop": 0.35,
}
"""Chance that an action of this kind does harm, by how much it touches and whether it interrupts work."""
UNKNOWN_RISK = 0.5
NO_WAY_BACK = 0.05
"""Added when effects can't be undone and the playbook declines a rollback on top."""
CRITICALITY = {Criticality.LOW: 0.5, Criticality.MEDIUM: 0.75, Criticality.HIGH: 1.0}
ALREADY_DOWN = 0.5
"""A component that serves nobody has less to lose."""
WEIGHTS = {"blast": 0.30, "error budget": 0.15, "business hours": 0.10, "crowd": 0.10}
"""By how much each term, 0 to 1, brings what the actions leave of safety closer to none."""
BUDGET_AT_EASE = 0.5
"""With this share of an error budget left, spending some is nothing to worry about."""


@dataclass(frozen=True, slots=True)
class Risk:
    """`total` = `actions` + (1 − `actions`) × Σ weight × term, all 0–1."""

    total: float
    actions: float
    terms: dict[str, float]
    words: str


def assess(playbook: Playbook, target: Target, now: datetime) -> Risk:
    """The risk of running `playbook` on `target` now. What the author says replaces the estimate from actions."""
    actions, source = _of_actions(playbook)
    terms = {
        "blast": _blast(target),
        "error budget": _overdrawn(target),
        "business hours": _in_business_hours(target, now),
        "crowd": _crowd(target),
    }
    around = sum(WEIGHTS[name] * value for name, value in terms.items())
    total = round(min(1.0, actions + (1.0 - actions) * around), 3)
    said = [
        f"{actions:.0%} from the actions ({source})",
        f"{target.dependents} of {target.others} components depend on {target.name}{_by_criticality(target)}",
        *_said(target, terms),
    ]
    return Risk(total, round(actions, 3), {name: round(one, 3) for name, one in terms.items()}, _words(total, said))


def _words(total: float, said: list[str]) -> str:
    return f"risk {total:.0%}: {', '.join(said)}"


def _of_actions(playbook: Playbook) -> tuple[float, str]:
    if playbook.risk is not None:
        return playbook.risk, "as its author says"
    safe = 1.0
    for step in playbook.steps:
        safe *= 1.0 - BASE_RISKS.get(step.actuator, UNKNOWN_RISK)
    actions = 1.0 - safe
    if playbook.rollback == "none" and not playbook.reversible:
        actions = min(1.0, actions + NO_WAY_BACK)
    return actions, " + ".join(step.actuator for step in playbook.steps[:4])


def _blast(target: Target) -> float:
    """Share of the estate that depends on the target, each by how much it matters, times how much the target does."""
    if not target.others:
        return 0.0
    known = target.dependents_by_criticality
    weight = sum(CRITICALITY[one] * count for one, count in known.items()) if known else target.dependents
    blast = weight / target.others * CRITICALITY[target.component.criticality]
    return min(blast * (ALREADY_DOWN if target.is_down else 1.0), 1.0)


def _overdrawn(target: Target) -> float:
    """How little of an error budget is left to spend; nothing where the component is down and spends it anyway."""
    if target.error_budget_left is None or target.is_down:
        return 0.0
    return min(max(1.0 - target.error_budget_left / BUDGET_AT_EASE, 0.0), 1.0)


def _in_business_hours(target: Target, now: datetime) -> float:
    if target.is_down:
        return 0.0
    return float(any(Schedule.parse(window).covers(now) for window in target.policy.business_hours))


def _crowd(target: Target) -> float:
    """How much else is being acted on in the pack: effects that come together can't be told apart."""
    others = {name for name in target.ledger.busy_targets if name != target.name}
    return min(len(others) / target.policy.max_targets_at_once, 1.0)


def _by_criticality(target: Target) -> str:
    known = {one.value: count for one, count in target.dependents_by_criticality.items() if count}
    return f" ({', '.join(f'{count} {name}' for name, count in known.items())})" if known else ""


def _said(target: Target, terms: dict[str, float]) -> list[str]:
    """The other terms in words, as far as they count."""
    said = []
    if terms["error budget"] and target.error_budget_left is not None:
        said.append(f"{target.error_budget_left:.0%} of its error budget is left")
    if terms["business hours"]:
        said.append("it is in business hours")
    if terms["crowd"]:
        busy = len({*target.ledger.busy_targets} - {target.name})
        said.append(f"{busy} of at most {target.policy.max_targets_at_once} others are being acted on")
    return said
