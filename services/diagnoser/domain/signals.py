"""The diagnoser's vocabulary: what it looks at. All times are aware UTC datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.packs import Category, Severity


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing seen, beside what was expected."""

    name: str
    observed: float | str
    expected: str
    unit: str
    component: str


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """An incident at its newest revision: open, or over a moment ago."""

    id: UUID
    component: str
    revision: int
    pattern: str
    severity: Severity
    summary: str
    opened_at: datetime
    error_count: int = 0
    flapping: bool = False
    evidence: tuple[Fact, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    resolved_at: datetime | None = None

    def was_over(self, other: IncidentSeen, late_s: float = 0.0) -> bool:
        """Whether it had ended when `other` began, `late_s` before that at the least."""
        return self.resolved_at is not None and (other.opened_at - self.resolved_at).total_seconds() > late_s


@dataclass(frozen=True, slots=True)
class ChangeSeen:
    """Something that was changed. `kind`: config, deployment, flag, migration, scale or repair."""

    component: str
    kind: str
    summary: str
    at: datetime
    ref: str = ""


@dataclass(frozen=True, slots=True)
class AnomalySeen:
    """A series outside its usual range; `score` in robust standard deviations."""

    component: str
    metric: str
    observed: float
    expected_low: float
    expected_high: float
    score: float
    since: datetime


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """A pack's signature: when the condition holds, the cause is `category`. `component` may be `*`."""

    id: str
    component: str
    when: str
    category: Category
    confidence: float


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """What the pack says of a component. `process_watched`: a probe would tell if its process were gone."""

    name: str
    kind: str = "service"
    criticality: str = "medium"
    group: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    process_watched: bool = False
