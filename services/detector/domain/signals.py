"""The detector's own vocabulary: what comes in and what comes out, free of wire types.

Times are seconds since the epoch (UTC). `at` is when something happened by its sender's clock, `now` is the
server's time of the message: windows and deadlines use `now`, which never runs backwards within a partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return 2 if self is Severity.CRITICAL else 1


class Method(StrEnum):
    PROBE = "probe"
    THRESHOLD = "threshold"
    ANOMALY = "anomaly"
    LOG_PATTERN = "log-pattern"
    EXTERNAL = "external"


class Transition(StrEnum):
    """Why a revision of an incident is said: also the reason in logs and metrics."""

    OPENED = "opened"
    ESCALATED = "escalated"
    EVIDENCE = "evidence"
    REOPENED = "reopened"
    RESOLVED = "resolved"


class HealthStatus(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"


class Result(StrEnum):
    """What a probe saw."""

    OK = "ok"
    SLOW = "slow"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    EXITED = "exited"
    STOPPED = "stopped"


# ---- in


class Reading(Protocol):
    """One sample, read where it lies: the hot path copies nothing."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def at(self) -> datetime | None: ...


class Line(Protocol):
    """One log line."""

    @property
    def level(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class CheckSeen:
    component: str
    probe: str
    kind: str
    result: Result
    at: float
    latency_ms: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExternalSeen:
    """An incident as another system names it."""

    component: str
    source: str
    external_id: str
    firing: bool
    severity: Severity
    pattern: str
    summary: str
    at: float
    labels: Mapping[str, str] = field(default_factory=dict)
    lasts_s: float | None = None
    """Over this long after it was said last; None: until its source says so."""


# ---- between


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing seen, beside what was expected: evidence."""

    name: str
    observed: float | str
    at: float
    component: str
    expected: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A bad observation that is enough for an incident. `subject` is what saw it: a probe, a rule, a pattern."""

    component: str
    method: Method
    subject: str
    pattern: str
    severity: Severity
    summary: str
    at: float
    fact: Fact
    labels: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    """How close to the cause: an open incident of greater depth explains this one of the same component, which is
    then evidence for it and no incident of its own. 0: never explained away."""
    confirm: int = 1
    """Observations in a row of another pattern before an open incident takes that pattern."""
    quiet_s: float | None = None
    """For signals that only ever say "bad": without one this long, the incident is over."""
    since: float | None = None
    """When it began, where that was before it was enough for an incident."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.component, self.method, self.subject)


def fingerprint(component: str, method: Method, subject: str) -> str:
    """What makes two observations the same trouble. The pattern isn't part of it: one probe that sees first a
    time-out and then a refusal tells one story."""
    return f"{component}/{method}/{subject}"


# ---- out


@dataclass(frozen=True, slots=True)
class IncidentRevised:
    """The whole state of an incident at one revision."""

    incident_id: UUID
    revision: int
    transition: Transition
    component: str
    fingerprint: str
    pattern: str
    method: Method
    severity: Severity
    summary: str
    at: float
    opened_at: float
    last_seen_at: float
    resolved_at: float | None
    occurrences: int
    error_count: int
    flapping: bool
    clearing_since: float | None
    evidence: tuple[Fact, ...]
    labels: Mapping[str, str]
    since: float | None = None
    """When it began, where that was before it was enough for an incident."""
    priority: str = ""
    seen_before: int = 0
    """How often the same trouble was new in the thirty days before."""
    last_time: float | None = None
    silenced: str = ""
    """Why nobody is to be troubled with it; empty: it isn't silenced."""


@dataclass(frozen=True, slots=True)
class AnomalyFound:
    """A series left its usual range: evidence, never an incident by itself."""

    component: str
    metric: str
    labels: Mapping[str, str]
    observed: float
    low: float
    high: float
    score: float
    since: float
    at: float
    seen_before: int = 0
    """How often the series was unusual before."""


@dataclass(frozen=True, slots=True)
class HealthChanged:
    component: str
    status: HealthStatus
    since: float
    error_count: int
    open_incidents: tuple[str, ...]
    at: float
    budgets: Mapping[str, float] = field(default_factory=dict)
    """Share of each objective's error budget that is left."""


@dataclass(frozen=True, slots=True)
class SeenPattern:
    """One template of a component's log lines: `words` with `<*>` for values; `per_minute` is what is usual."""

    id: int
    words: str
    count: int
    errors: int
    per_minute: float
    first_at: float
    last_at: float
    category: str
    severity: Severity | None
    example: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PatternsSeen:
    """Patterns that changed since they were last told, and ids that are no longer any pattern's."""

    component: str
    patterns: tuple[SeenPattern, ...]
    gone: tuple[int, ...]
    at: float


Effect = IncidentRevised | AnomalyFound | HealthChanged | PatternsSeen
