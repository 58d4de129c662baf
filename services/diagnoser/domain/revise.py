"""When a diagnosis is worth telling again: only when a reader would decide otherwise by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.diagnoser.domain.diagnose import Diagnosis

NOTABLE_SHIFT = 0.1
"""A smaller change of confidence is not told."""


class Reason(StrEnum):
    """Why a revision is told, or why not."""

    FIRST = "first"
    CAUSE_CHANGED = "cause-changed"
    SYMPTOM_CHANGED = "symptom-changed"
    CONFIDENCE_CHANGED = "confidence-changed"
    INCIDENT_CHANGED = "incident-changed"
    REOPENED = "reopened"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Told:
    """What was last told of an incident."""

    component: str
    category: str
    signature: str
    confidence: float
    symptom_of: UUID | None
    pattern: str
    severity: str
    opening: int
    """Which opening of the incident it was told for: a reopened incident is diagnosed anew."""

    @classmethod
    def of(cls, diagnosis: Diagnosis, pattern: str, severity: str, opening: int) -> Told:
        best = diagnosis.best
        return cls(
            best.component,
            best.category.value,
            best.signature,
            best.confidence,
            diagnosis.symptom_of,
            pattern,
            severity,
            opening,
        )


def revise(last: Told | None, now: Told) -> Reason:
    """UNCHANGED means: say nothing."""
    if last is None:
        return Reason.FIRST
    if last.opening != now.opening:
        return Reason.REOPENED
    if (last.component, last.category, last.signature) != (now.component, now.category, now.signature):
        return Reason.CAUSE_CHANGED
    if last.symptom_of != now.symptom_of:
        return Reason.SYMPTOM_CHANGED
    if (last.pattern, last.severity) != (now.pattern, now.severity):
        return Reason.INCIDENT_CHANGED
    if abs(last.confidence - now.confidence) >= NOTABLE_SHIFT - 1e-9:
        return Reason.CONFIDENCE_CHANGED
    return Reason.UNCHANGED
