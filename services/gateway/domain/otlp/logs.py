"""From OpenTelemetry's log records to lines of components."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.ingest.remote_write import BATCH_BYTES
from services.gateway.domain.otlp.attributes import Scalar, Source, clean, fields_of, scalar, source_of
from services.gateway.domain.otlp.report import time_problem

MAX_RECORDS = 20_000
MAX_MESSAGE_CHARS = 16_384
BATCH_LINES = 1_000
_LEVELS = ((21, "critical"), (17, "error"), (13, "warning"), (9, "info"), (5, "debug"), (1, "trace"))
"""The lowest severity number of each range."""
_EXCEPTION = ("exception.type", "exception.message", "exception.stacktrace")


@dataclass(frozen=True, slots=True)
class Line:
    level: str
    message: str
    at_ns: int
    fields: Mapping[str, Scalar]

    @property
    def size(self) -> int:
        """About what it takes in a message."""
        named = sum(len(name) + 2 * len(str(value)) + 6 for name, value in self.fields.items())
        return 100 + 2 * len(self.message) + named


@dataclass(slots=True)
class Lines:
    """Lines of one component that travel together."""

    component: str
    lines: list[Line] = field(default_factory=list)
    size: int = 0

    @property
    def at_ns(self) -> int:
        return max(line.at_ns for line in self.lines)

    @property
    def identity(self) -> UUID:
        """The same for the same lines, however often they are sent."""
        digest = hashlib.blake2b(self.component.encode(), digest_size=16)
        for line in self.lines:
            told = (line.level, line.message, line.at_ns, sorted(line.fields.items(), key=lambda one: one[0]))
            digest.update(repr(told).encode(errors="replace"))
        return UUID(bytes=digest.digest(), version=5)


def lines_of(request: ExportLogsServiceRequest, rule: ComponentRule, now_ns: int) -> list[Lines]:
    """Lines in batches. Nothing is rejected: a line without a usable time happened now.

    Raises:
        TooLargeError: more records than one request may have. Nothing of it is to be taken.
    """
    done: list[Lines] = []
    newest: dict[str, Lines] = {}
    count = 0
    for resource in request.resource_logs:
        source = source_of(resource.resource, rule)
        for scope in resource.scope_logs:
            count += len(scope.log_records)
            if count > MAX_RECORDS:
                raise TooLargeError(f"more than {MAX_RECORDS} log records at once", "send smaller batches")
            for record in scope.log_records:
                line = _line(record, source, now_ns)
                batch = newest.get(source.component)
                if batch is None or len(batch.lines) >= BATCH_LINES or batch.size + line.size > BATCH_BYTES:
                    batch = newest[source.component] = Lines(source.component)
                    done.append(batch)
                batch.lines.append(line)
                batch.size += line.size
    return done


def _line(record: LogRecord, source: Source, now_ns: int) -> Line:
    fields = fields_of(record.attributes)
    for name, value in (("trace_id", record.trace_id.hex()), ("span_id", record.span_id.hex())):
        if value.strip("0"):
            fields[name] = value[:32]
    if record.event_name:
        fields["event_name"] = clean(record.event_name, 200)
    fields |= {name: value for name, value in source.labels.items() if name not in fields}
    times = (record.time_unix_nano, record.observed_time_unix_nano)
    at_ns = next((one for one in times if time_problem(one, now_ns) is None), now_ns)
    return Line(level_of(record.severity_number, record.severity_text), _message(record), at_ns, fields)


def level_of(number: int, text: str) -> str:
    """
    >>> level_of(17, ""), level_of(0, "WARN"), level_of(0, "")
    ('error', 'warn', 'info')
    """
    for lowest, level in _LEVELS:
        if number >= lowest:
            return level
    return clean(text.strip().lower(), 20) or "info"


def _message(record: LogRecord) -> str:
    """The body, with the exception beneath it where the body doesn't tell it already."""
    body = scalar(record.body, MAX_MESSAGE_CHARS)
    message = "" if body is None else str(body)
    kind, said, stack = _told(record, _EXCEPTION)
    headline = ": ".join(part for part in (kind, said) if part)
    parts = [message or clean(record.event_name, 200)]
    parts += [part for part in (headline, stack) if part and part not in message]
    if stack and headline and headline in stack:
        parts = [part for part in parts if part is not headline]
    return clean("\n".join(part for part in parts if part), MAX_MESSAGE_CHARS)


def _told(record: LogRecord, names: Iterable[str]) -> list[str]:
    told = {a.key: scalar(a.value, MAX_MESSAGE_CHARS) for a in record.attributes if a.key in _EXCEPTION}
    return [str(told.get(name) or "") for name in names]
