"""How much may go wrong: what the actions do, whether they can be undone, and how many depend on the target."""

from __future__ import annotations

from dataclasses import dataclass

from services.decider.domain.model import Target
from shared.packs import Criticality, Playbook

BASE_RISKS = {
    "file.restore_last_good": 0.10,
    "process.reload": 0.10,
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
    "process.restart": 0.20,
    "docker.restart": 0.20,
    "redis.invalidate": 0.20,
    "postgres.terminate_idle": 0.20,
    "jobs.clean_up": 0.20,
    "jobs.requeue": 0.25,
    "http.call": 0.25,
    "sql.execute": 0.30,
    "process.stop": 0.35,
}
"""Chance that an action of this kind does harm, by how much it touches and whether it interrupts work."""
UNKNOWN_RISK = 0.5
NO_WAY_BACK = 0.05
"""Added when effects can't be undone and the playbook declines a rollback on top."""
BLAST_WEIGHT = 0.3
CRITICALITY = {Criticality.LOW: 0.5, Criticality.MEDIUM: 0.75, Criticality.HIGH: 1.0}
ALREADY_DOWN = 0.5
"""A component that serves nobody has less to lose."""


@dataclass(frozen=True, slots=True)
class Risk:
    """`total` = `actions` + (1 − `actions`) × 0.3 × `blast`, all 0–1."""

    total: float
    actions: float
    blast: float
    words: str


def assess(playbook: Playbook, target: Target) -> Risk:
    """The risk of running `playbook` on `target`. What the author says replaces the estimate from actions."""
    if playbook.risk is not None:
        actions, source = playbook.risk, "as its author says"
    else:
        safe = 1.0
        for step in playbook.steps:
            safe *= 1.0 - BASE_RISKS.get(step.actuator, UNKNOWN_RISK)
        actions = 1.0 - safe
        if playbook.rollback == "none" and not playbook.reversible:
            actions = min(1.0, actions + NO_WAY_BACK)
        source = " + ".join(step.actuator for step in playbook.steps[:4])
    blast = (target.dependents / target.others if target.others else 0.0) * CRITICALITY[target.component.criticality]
    if target.is_down:
        blast *= ALREADY_DOWN
    blast = min(blast, 1.0)
    total = round(min(1.0, actions + (1.0 - actions) * BLAST_WEIGHT * blast), 3)
    words = (
        f"risk {total:.0%}: {actions:.0%} from the actions ({source}), "
        f"{target.dependents} of {target.others} components depend on {target.name}"
    )
    return Risk(total, round(actions, 3), round(blast, 3), words)
