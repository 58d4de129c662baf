"""What the detector says: incidents, and the anomalies that alone are no incident but are evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from shared.contracts.base import CaseEvent, ComponentEvent, Event, Probability, Severity, Token, Wire


class Transition(StrEnum):
    """Why this revision of an incident was published."""

    OPENED = "opened"
    ESCALATED = "escalated"
    EVIDENCE = "evidence"
    REOPENED = "reopened"
    RESOLVED = "resolved"


class DetectionMethod(StrEnum):
    PROBE = "probe"
    THRESHOLD = "threshold"
    ANOMALY = "anomaly"
    LOG_PATTERN = "log-pattern"
    EXTERNAL = "external"


class Observation(Wire):
    """One thing seen, beside what was expected."""

    name: str
    observed: float | str
    expected: str = ""
    unit: str = ""
    at: AwareDatetime
    component: Token


class Incident(CaseEvent):
    """The whole state of an incident at one revision; readers need the newest. `case_id` is the incident's id."""

    SUBJECT: ClassVar[str] = "detector.incident.v1"

    revision: Annotated[int, Field(ge=1)]
    transition: Transition
    fingerprint: str
    pattern: str
    """What kind of trouble: `process-exited`, `http-timeout`, `cpu-high`, `error-ratio`, `log:rate_limit`, …"""
    method: DetectionMethod
    severity: Severity
    summary: str
    opened_at: AwareDatetime
    """When it opened, or opened again: what came before that may have been something else."""
    last_seen_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    occurrences: Annotated[int, Field(ge=1)] = 1
    error_count: Annotated[int, Field(ge=0)] = 0
    """Failed checks and error log lines of the component since the incident opened."""
    flapping: bool = False
    clearing_since: AwareDatetime | None = None
    """Nothing bad has been seen since; a flapping incident stays open for longer all the same."""
    evidence: tuple[Observation, ...] = ()
    labels: dict[str, str] = {}
    since: AwareDatetime | None = None
    """When it began, where that was before it was enough for an incident."""
    priority: str = ""
    """`P1` (now, whoever sleeps) to `P4` (some day); empty: not said."""
    seen_before: Annotated[int, Field(ge=0)] = 0
    """How often the same trouble was new in the thirty days before, and when last."""
    last_time: AwareDatetime | None = None
    silenced: str = ""
    """Why nobody is to be troubled with it: a silence or a maintenance window; empty: it isn't silenced."""
    alarm_precision: Probability | None = None
    """Share of the earlier alarms of this pattern here that were worth having, as the learner judged them; null: none
    was judged. Where it is certain to be low, `priority` is a step less urgent; nothing is silenced for it."""

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    @property
    def is_showing(self) -> bool:
        """Open, and its signals are bad now."""
        return self.is_open and self.clearing_since is None


class Anomaly(ComponentEvent):
    """A series left its usual range."""

    SUBJECT: ClassVar[str] = "detector.anomaly.v1"

    metric: str
    labels: dict[str, str] = {}
    observed: float
    expected_low: float
    expected_high: float
    score: float
    """How unusual, in robust standard deviations."""
    since: AwareDatetime
    seen_before: Annotated[int, Field(ge=0)] = 0
    """How often this series was unusual before."""


class HealthStatus(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Health(ComponentEvent):
    """Health of one component now, kept as the last value of its subject (`state.detector.health.v1.<component>`)."""

    SUBJECT: ClassVar[str] = "state.detector.health.v1"

    status: HealthStatus
    since: AwareDatetime
    error_count: Annotated[int, Field(ge=0)] = 0
    """Failed checks and error log lines ever seen of this component: two readings give the errors between them."""
    open_incidents: tuple[str, ...] = ()
    error_budgets: dict[str, float] = {}
    """Share of each objective's error budget (`availability`, `latency`) that is left; below 0: overdrawn."""


class Storm(Event):
    """Whether so many of a pack's components alarm at once that their causes can't be told apart
    (`state.detector.storm.v1.<pack>`): nothing is healed meanwhile without a person."""

    SUBJECT: ClassVar[str] = "state.detector.storm.v1"
    KEY: ClassVar[str] = "pack"

    pack: Token
    on: bool
    since: AwareDatetime
    alarming: tuple[Token, ...] = ()
    of: Annotated[int, Field(ge=0)] = 0
    """Components of the pack."""


class Swept(Event):
    """Answer to `cmd.<service>.sweep`: what one phase of a cycle looked at and did."""

    KEY: ClassVar[str] = "service"

    service: Token
    looked_at: Annotated[int, Field(ge=0)]
    summary: str


class LogPatternsRequest(Wire):
    """Asks for recurring patterns of log lines, the worst first (`cmd.detector.log-patterns`)."""

    component: Token | None = None
    errors_only: bool = False
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class LogPattern(Wire):
    """One statement that prints log lines, as it was learned from them."""

    component: Token
    template: str
    """Its words, `<*>` where values stand."""
    lines: Annotated[int, Field(ge=0)]
    errors: Annotated[int, Field(ge=0)]
    """How many of the lines were errors."""
    per_minute: float
    """What is usual."""
    first_seen_at: AwareDatetime
    last_seen_at: AwareDatetime
    category: str
    """What it is about: `rate-limit`, `database`, `timeout`, …, or a category that a pack's log pattern names."""
    severity: Severity | None
    """Null when it is no error."""
    advice: str = ""
    """What usually helps; empty when it is no error."""
    example: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """Lines around an error."""


class LogPatterns(Wire):
    """Reply to `LogPatternsRequest`."""

    patterns: tuple[LogPattern, ...]
