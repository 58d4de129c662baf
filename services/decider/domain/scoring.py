"""Several criteria, one score: declared weights, so that a person can follow why one playbook was preferred."""

from __future__ import annotations

from services.decider.domain.confidence import Sureness
from services.decider.domain.model import Case, Record
from shared.packs import Playbook

WEIGHTS = {"benefit": 0.30, "confidence": 0.30, "safety": 0.20, "reversibility": 0.10, "speed": 0.10}
"""They add up to one, and so does the best conceivable score."""

URGENCY = {"critical": 1.0, "warning": 0.8}
HALF_SPEED_S = 120.0
ACTION_S = {
    "process.start": 2.0,
    "process.stop": 2.0,
    "process.restart": 3.0,
    "docker.start": 4.0,
    "docker.restart": 6.0,
    "sql.execute": 1.0,
    "http.call": 1.0,
}
OTHER_ACTION_S = 0.5


def expected_time_s(playbook: Playbook, record: Record | None) -> float:
    """From the order to the end of validation: as measured, else from its actions and its window."""
    if record is not None and record.mean_recovery_s is not None:
        return record.mean_recovery_s
    return sum(ACTION_S.get(step.actuator, OTHER_ACTION_S) for step in playbook.steps) + playbook.validation.window_s


def criteria(case: Case, playbook: Playbook, record: Record | None, *, sure: Sureness, risk: float) -> dict[str, float]:
    """Each 0–1, more is better."""
    undoable = playbook.reversible and playbook.rollback == "auto"
    backed = playbook.rollback == "auto" and bool(playbook.backup)
    values = {
        "benefit": sure.expected * URGENCY.get(case.severity, URGENCY["warning"]),
        "confidence": sure.confidence,
        "safety": 1.0 - risk,
        "reversibility": 1.0 if undoable else 0.5 if backed else 0.0,
        "speed": 1.0 / (1.0 + expected_time_s(playbook, record) / HALF_SPEED_S),
    }
    return {name: round(value, 3) for name, value in values.items()}


def score(values: dict[str, float]) -> float:
    return round(sum(WEIGHTS[name] * values[name] for name in WEIGHTS), 4)
