"""Whatever bytes come, they are read or refused: nothing else."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from services.gateway.domain.ingest.errors import MalformedError, ReportError, UnsupportedError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.otlp.calls import CallMemory
from services.gateway.domain.otlp.decode import Encoding, encoding_of, read, write
from services.gateway.domain.otlp.distributions import LastDistributions
from services.gateway.domain.otlp.logs import lines_of
from services.gateway.domain.otlp.metrics import metrics_of
from services.gateway.domain.otlp.traces import requests_of, spans_of

NOW_NS = 1_800_000_000 * 1_000_000_000
KINDS: list[type[Message]] = [ExportMetricsServiceRequest, ExportLogsServiceRequest, ExportTraceServiceRequest]
RULE = ComponentRule()


def take(kind: type[Message], body: bytes, encoding: Encoding) -> None:
    """All that is done with a request. Raises ReportError, or nothing."""
    message = read(kind, body, encoding)
    match message:
        case ExportMetricsServiceRequest():
            for batch in metrics_of(message, RULE, LastDistributions(), NOW_NS).batches:
                assert batch.readings
                assert batch.identity
        case ExportLogsServiceRequest():
            for lines in lines_of(message, RULE, NOW_NS):
                assert lines.lines
                assert lines.identity
        case ExportTraceServiceRequest():
            spans = spans_of(message, RULE, NOW_NS).spans
            requests_of(spans)
            for calls in CallMemory().observe(spans, 0):
                assert calls.identity


def taken_or_refused(kind: type[Message], body: bytes, encoding: Encoding) -> None:
    with contextlib.suppress(ReportError):
        take(kind, body, encoding)


@given(st.sampled_from(KINDS), st.binary(max_size=200), st.sampled_from(list(Encoding)))
@settings(max_examples=150)
def test_any_bytes(kind: type[Message], body: bytes, encoding: Encoding) -> None:
    taken_or_refused(kind, body, encoding)


# JSON that looks like OTLP: its names, with values of every shape in every place.
NAMES = [
    "resourceMetrics",
    "resourceLogs",
    "resourceSpans",
    "resource",
    "attributes",
    "key",
    "value",
    "stringValue",
    "intValue",
    "doubleValue",
    "arrayValue",
    "kvlistValue",
    "bytesValue",
    "values",
    "scopeMetrics",
    "scopeLogs",
    "scopeSpans",
    "metrics",
    "logRecords",
    "spans",
    "name",
    "unit",
    "gauge",
    "sum",
    "histogram",
    "exponentialHistogram",
    "summary",
    "dataPoints",
    "asInt",
    "asDouble",
    "timeUnixNano",
    "startTimeUnixNano",
    "count",
    "bucketCounts",
    "explicitBounds",
    "scale",
    "positive",
    "negative",
    "offset",
    "zeroCount",
    "quantileValues",
    "quantile",
    "isMonotonic",
    "aggregationTemporality",
    "traceId",
    "spanId",
    "parentSpanId",
    "kind",
    "status",
    "code",
    "severityNumber",
    "body",
    "flags",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "1", "-1", "NaN", "1800000000000000000", "0102030405060708", "zz", "service.name", "\x00"]),
    st.text(max_size=5),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=10,
)


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES[:3]), TREES, max_size=2))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_json(kind: type[Message], tree: dict[str, object]) -> None:
    taken_or_refused(kind, json.dumps(tree).encode(), Encoding.JSON)


POINTS = st.dictionaries(st.sampled_from(NAMES), LEAVES | st.lists(LEAVES, max_size=4), max_size=8)
SHAPES = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


@given(st.sampled_from(SHAPES), st.lists(POINTS, max_size=4), st.integers(0, 3))
@settings(max_examples=150)
def test_any_data_point(shape: str, points: list[dict[str, object]], temporality: int) -> None:
    timed = [{"timeUnixNano": str(NOW_NS), "startTimeUnixNano": str(NOW_NS - 10**10)} | point for point in points]
    data = {"dataPoints": timed} | (
        {"aggregationTemporality": temporality} if shape not in {"gauge", "summary"} else {}
    )
    tree = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", shape: data}]}]}]}
    taken_or_refused(ExportMetricsServiceRequest, json.dumps(tree).encode(), Encoding.JSON)


SEED = ExportTraceServiceRequest.FromString(
    read(
        ExportTraceServiceRequest,
        json.dumps(
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]},
                        "scopeSpans": [{"spans": [{"traceId": "ab" * 16, "spanId": "cd" * 8, "kind": 2, "name": "n"}]}],
                    }
                ]
            }
        ).encode(),
        Encoding.JSON,
    ).SerializeToString()
).SerializeToString()


@given(st.integers(0, len(SEED) - 1), st.integers(0, 255), st.integers(0, len(SEED)))
@settings(max_examples=150)
def test_any_damage_to_a_good_message(place: int, byte: int, cut: int) -> None:
    damaged = bytearray(SEED)
    damaged[place] = byte
    taken_or_refused(ExportTraceServiceRequest, bytes(damaged[:cut]), Encoding.PROTOBUF)


@pytest.mark.parametrize("opening", [b"[", b'{"resourceSpans":', b'{"body":{"arrayValue":{"values":['])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(MalformedError):
        read(ExportTraceServiceRequest, opening * 100_000, Encoding.JSON)


def test_deep_nesting_in_protobuf_is_refused() -> None:
    value = b""
    for _ in range(300):  # AnyValue{array_value{values}}
        inner = b"\x0a" + _varint(len(value)) + value
        value = b"\x2a" + _varint(len(inner)) + inner
    for field in (b"\x2a", b"\x12", b"\x12", b"\x0a"):  # LogRecord.body, ScopeLogs, ResourceLogs, the request
        value = field + _varint(len(value)) + value
    with pytest.raises(MalformedError):
        read(ExportLogsServiceRequest, value, Encoding.PROTOBUF)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_ids_are_hexadecimal_in_json() -> None:
    span = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "links": [{"spanId": "ff"}]}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    request = read(ExportTraceServiceRequest, json.dumps(body).encode(), Encoding.JSON)
    (found,) = request.resource_spans[0].scope_spans[0].spans
    assert (found.trace_id.hex(), found.span_id.hex()) == (span["traceId"].lower(), "eee19b7ec3c1b174")  # type: ignore[attr-defined]
    assert found.links[0].span_id == b"\xff"
    span["traceId"] = base64.b64encode(b"t" * 16).decode()
    with pytest.raises(MalformedError, match="hexadecimal"):
        read(ExportTraceServiceRequest, json.dumps(body).encode(), Encoding.JSON)


def test_unknown_fields_are_passed_over() -> None:
    assert (
        read(ExportTraceServiceRequest, b'{"fromTheFuture": [{"a": 1}]}', Encoding.JSON) == ExportTraceServiceRequest()
    )


def test_an_answer_is_in_the_encoding_of_its_question() -> None:
    answer = ExportTraceServiceResponse()
    assert write(answer, Encoding.JSON) == b"{}"
    answer.partial_success.rejected_spans = 3
    assert json.loads(write(answer, Encoding.JSON)) == {"partialSuccess": {"rejectedSpans": "3"}}
    assert ExportTraceServiceResponse.FromString(write(answer, Encoding.PROTOBUF)) == answer


@pytest.mark.parametrize("named", ["", "text/plain", "application/grpc", "application/jsonp"])
def test_other_content_types_are_refused(named: str) -> None:
    with pytest.raises(UnsupportedError):
        encoding_of(named)
