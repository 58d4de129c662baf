"""What other systems, and the detector's own probes, publish to Homeostat: `ingest.<kind>.v1.<component>`.

`id` may be left out: the bus then derives one from the message's place in the stream.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import ComponentEvent, Scalar, Severity, Token, Wire


class Sample(Wire):
    """One reading of one series. Without a time of its own it was read at the batch's."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    value: float
    labels: dict[str, str] = {}
    at: AwareDatetime | None = None


class MetricBatch(ComponentEvent):
    """Readings of one component. Counters are sent as they are: readers turn them into rates."""

    SUBJECT: ClassVar[str] = "ingest.metrics.v1"

    samples: Annotated[tuple[Sample, ...], Field(max_length=10_000)]


class LogLine(Wire):
    level: str = "info"
    message: Annotated[str, Field(max_length=16_384)]
    at: AwareDatetime | None = None
    fields: dict[str, Scalar] = {}


class LogBatch(ComponentEvent):
    SUBJECT: ClassVar[str] = "ingest.logs.v1"

    lines: Annotated[tuple[LogLine, ...], Field(max_length=5_000)]


class CheckKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    PROCESS = "process"
    POSTGRES = "postgres"
    DOCKER = "docker"
    SCRAPE = "scrape"
    HOST = "host"
    REDIS = "redis"
    SQL = "sql"
    PROMQL = "promql"
    JOURNAL = "journal"
    CERTIFICATE = "certificate"
    CUSTOM = "custom"


class CheckResult(StrEnum):
    """What a probe saw. `EXITED` is only said of a process (or container) known to be gone."""

    OK = "ok"
    SLOW = "slow"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    EXITED = "exited"
    STOPPED = "stopped"


class Check(ComponentEvent):
    """The result of one probe of one component."""

    SUBJECT: ClassVar[str] = "ingest.checks.v1"

    probe: Annotated[str, Field(min_length=1, max_length=200)]
    kind: CheckKind = CheckKind.CUSTOM
    result: CheckResult
    latency_ms: float | None = None
    detail: str = ""


class ChangeKind(StrEnum):
    CONFIG = "config"
    DEPLOYMENT = "deployment"
    FLAG = "flag"
    MIGRATION = "migration"
    SCALE = "scale"
    REPAIR = "repair"


class Change(ComponentEvent):
    """Something about a component was changed, by a person, a pipeline or a repair."""

    SUBJECT: ClassVar[str] = "ingest.changes.v1"

    kind: ChangeKind
    summary: Annotated[str, Field(max_length=1024)]
    ref: str = ""
    before: str = ""
    after: str = ""


class ExternalIncident(ComponentEvent):
    """An incident another system found. `external_id` is that system's own name for it."""

    SUBJECT: ClassVar[str] = "ingest.incidents.v1"

    source: Annotated[str, Field(min_length=1, max_length=100)]
    external_id: Annotated[str, Field(min_length=1, max_length=255)]
    status: Literal["firing", "resolved"] = "firing"
    severity: Severity = Severity.CRITICAL
    pattern: Annotated[str, Field(max_length=100)] = "external"
    summary: Annotated[str, Field(max_length=1024)]
    labels: dict[str, str] = {}
    expires_at: AwareDatetime | None = None
    """Over by then unless it is said again: for a source that repeats what still fires and may die without a word."""


class ExternalOutcome(ComponentEvent):
    """What came of a case, said by somebody who saw it: a label for the learner."""

    SUBJECT: ClassVar[str] = "ingest.outcomes.v1"

    case_id: UUID
    success: bool
    comment: Annotated[str, Field(max_length=1024)] = ""


class ObservedCalls(ComponentEvent):
    """Calls that a component was seen to make to another since it was last told, as traces show them. Told again and
    again, they become a part of the graph along which causes are searched."""

    SUBJECT: ClassVar[str] = "ingest.calls.v1"

    callee: Token
    count: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    errors: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    """Those of `count` that failed."""
    duration_sum_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Of all of them together."""
