"""OpenTelemetry's log records as lines."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.otlp.logs import MAX_MESSAGE_CHARS, MAX_RECORDS, Lines, lines_of

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def told(*records: LogRecord) -> list[Lines]:
    resource = Resource(attributes=[attribute("service.name", "orders")])
    request = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records)])]
    )
    return lines_of(request, ComponentRule(), NOW_NS)


def body(text: str) -> AnyValue:
    return AnyValue(string_value=text)


@pytest.mark.parametrize(
    ("number", "text", "level"),
    [
        (0, "", "info"),
        (0, "Fatal", "fatal"),
        (4, "", "trace"),
        (5, "", "debug"),
        (9, "INFO2", "info"),
        (13, "", "warning"),
        (18, "", "error"),
        (24, "", "critical"),
    ],
)
def test_severity_becomes_the_level(number: int, text: str, level: str) -> None:
    record = LogRecord(severity_number=number, severity_text=text, body=body("x"), time_unix_nano=NOW_NS)  # type: ignore[arg-type]
    assert told(record)[0].lines[0].level == level


def test_an_exception_is_told_with_the_message_and_once() -> None:
    stack = "Traceback (most recent call last):\n  …\nValueError: no such order"
    record = LogRecord(
        body=body("checkout failed"),
        time_unix_nano=NOW_NS,
        attributes=[
            attribute("exception.type", "ValueError"),
            attribute("exception.message", "no such order"),
            attribute("exception.stacktrace", stack),
        ],
    )
    assert told(record)[0].lines[0].message == f"checkout failed\n{stack}"
    del record.attributes[2]
    assert told(record)[0].lines[0].message == "checkout failed\nValueError: no such order"


def test_fields_hold_attributes_and_the_place_in_the_trace() -> None:
    record = LogRecord(
        body=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="user", value=AnyValue(int_value=7))])),
        time_unix_nano=NOW_NS,
        trace_id=b"\x01" * 16,
        attributes=[KeyValue(key="http.status", value=AnyValue(int_value=503)), attribute("note", "a\x00b")],
    )
    (line,) = told(record)[0].lines
    assert line.message == '{"user": 7}'
    assert line.fields == {"http.status": 503, "note": "a\ufffdb", "trace_id": "01" * 16}


def test_the_time_is_the_events_else_when_it_was_observed_else_now() -> None:
    happened = LogRecord(body=body("a"), time_unix_nano=NOW_NS - 3 * S, observed_time_unix_nano=NOW_NS - S)
    observed = LogRecord(body=body("b"), observed_time_unix_nano=NOW_NS - S)
    lost = LogRecord(body=body("c"), time_unix_nano=2**64 - 1)
    (lines,) = told(happened, observed, lost)
    assert [line.at_ns - NOW_NS for line in lines.lines] == [-3 * S, -S, 0]


def test_long_lines_are_cut_and_many_are_spread_over_messages() -> None:
    long = LogRecord(body=body("x" * 100_000), time_unix_nano=NOW_NS)
    batches = told(*[long] * 100)
    assert len(batches) > 1
    assert all(len(line.message) == MAX_MESSAGE_CHARS for batch in batches for line in batch.lines)
    assert all(batch.size < 900_000 for batch in batches)


def test_too_many_records_are_refused_as_a_whole() -> None:
    with pytest.raises(TooLargeError):
        told(*[LogRecord()] * (MAX_RECORDS + 1))
