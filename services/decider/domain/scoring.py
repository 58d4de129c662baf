"""Several criteria, one score: declared weights, so that a person can follow why one playbook was preferred."""

from __future__ import annotations

from dataclasses import dataclass

from services.decider.domain.confidence import Sureness
from services.decider.domain.model import Case, Record, Target
from shared.packs import Criticality, Playbook, Weights

URGENCY = {"critical": 1.0, "warning": 0.8}
HALF_SPEED_S = 120.0
HALF_COST_S = 30.0
"""So long an interruption of a highly critical component costs half of all that a run may cost."""
LOST_BY = {Criticality.LOW: 0.5, Criticality.MEDIUM: 0.75, Criticality.HIGH: 1.0}
ACTION_S = {
    "process.start": 2.0,
    "process.stop": 2.0,
    "process.restart": 3.0,
    "docker.start": 4.0,
    "docker.restart": 6.0,
    "docker.stop": 4.0,
    "systemd.start": 2.0,
    "systemd.stop": 2.0,
    "systemd.restart": 3.0,
    "kubernetes.restart": 30.0,
    "kubernetes.rollback": 30.0,
    "kubernetes.scale": 15.0,
    "sql.execute": 1.0,
    "http.call": 1.0,
}
OTHER_ACTION_S = 0.5
INTERRUPTS = frozenset({"process.stop", "process.restart", "docker.restart"})
"""Actions during which a component that still works serves nobody."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that counts. `worth` is 0–1, more is better; `weight` its share of the score; `words` what it is made
    of, with its unit."""

    name: str
    worth: float
    weight: float
    words: str

    @property
    def contribution(self) -> float:
        """Points of the score that come from it."""
        return round(self.worth * self.weight, 4)


def expected_time_s(playbook: Playbook, record: Record | None) -> float:
    """From the order to the end of validation: as measured, else from its actions and its window."""
    if record is not None and record.mean_recovery_s is not None:
        return record.mean_recovery_s
    return sum(ACTION_S.get(step.actuator, OTHER_ACTION_S) for step in playbook.steps) + playbook.validation.window_s


def cost(playbook: Playbook, target: Target) -> tuple[float, str]:
    """What a run costs (0–1), and why. What the author says replaces the estimate from the work that it interrupts."""
    if playbook.cost is not None:
        return playbook.cost, "as its author says"
    if target.is_down:
        return 0.0, f"{target.name} serves nobody now"
    interrupted_s = sum(ACTION_S.get(s.actuator, OTHER_ACTION_S) for s in playbook.steps if s.actuator in INTERRUPTS)
    lost = LOST_BY[target.component.criticality] * interrupted_s / (interrupted_s + HALF_COST_S)
    return lost, f"{interrupted_s:g} s of work interrupted, criticality {target.component.criticality.value}"


def criteria(
    case: Case, playbook: Playbook, record: Record | None, *, sure: Sureness, risk: float, target: Target
) -> tuple[Criterion, ...]:
    """Each criterion with its worth and its weight, as the pack's policy declares it."""
    undoable = playbook.reversible and playbook.rollback == "auto"
    backed = playbook.rollback == "auto" and bool(playbook.backup)
    urgency = URGENCY.get(case.severity, URGENCY["warning"])
    time_s = expected_time_s(playbook, record)
    costs, cost_words = cost(playbook, target)
    worths = {
        "benefit": (sure.expected * urgency, f"helps with {sure.expected:.0%}, urgency {urgency:.1f}"),
        "confidence": (sure.confidence, f"at least {sure.confidence:.0%} likely to help"),
        "risk": (1.0 - risk, f"{risk:.0%} risk"),
        "cost": (1.0 - costs, f"costs {costs:.0%}: {cost_words}"),
        "reversibility": (1.0, "undone byte for byte")
        if undoable
        else (0.5, "backed up")
        if backed
        else (0.0, "can't be undone"),
        "time": (1.0 / (1.0 + time_s / HALF_SPEED_S), f"about {time_s:.0f} s"),
    }
    shares = shares_of(target.policy.weights)
    return tuple(Criterion(name, round(worth, 3), shares[name], words) for name, (worth, words) in worths.items())


def shares_of(weights: Weights) -> dict[str, float]:
    """Each weight's share of all, so that the best conceivable score is one.

    >>> shares_of(Weights(benefit=1, confidence=1, risk=0, cost=0, reversibility=0, time=0))["benefit"]
    0.5
    """
    given: dict[str, float] = weights.model_dump()
    whole = sum(given.values())
    return {name: round(weight / whole, 6) for name, weight in given.items()}


def score(values: tuple[Criterion, ...]) -> float:
    return round(sum(one.worth * one.weight for one in values), 4)
