"""OpenTelemetry's spans: requests of components, and who calls whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.otlp.calls import CallMemory
from services.gateway.domain.otlp.report import Reason
from services.gateway.domain.otlp.traces import Spans, SpanSeen, requests_of, spans_of

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S
SERVER, CLIENT, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL
PRODUCER, CONSUMER = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER


def span(
    id_: int, parent: int = 0, kind: Span.SpanKind = SERVER, took_ms: int = 10, failed: bool = False, **told: str
) -> Span:
    return Span(
        trace_id=b"t" * 16,
        span_id=id_.to_bytes(8),
        parent_span_id=parent.to_bytes(8) if parent else b"",
        kind=kind,
        start_time_unix_nano=NOW_NS - took_ms * 1_000_000,
        end_time_unix_nano=NOW_NS,
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
        attributes=[KeyValue(key=k.replace("_", "."), value=AnyValue(string_value=v)) for k, v in told.items()],
    )


def seen(**services: Sequence[Span]) -> Spans:
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=name))]),
                scope_spans=[ScopeSpans(spans=spans)],
            )
            for name, spans in services.items()
        ]
    )
    return spans_of(request, ComponentRule(), NOW_NS)


def edges(memory: CallMemory, *requests: Spans) -> list[tuple[str, str, int]]:
    return [(c.caller, c.callee, c.count) for request in requests for c in memory.observe(request.spans, 0)]


# ---- requests


def test_served_spans_are_requests_of_their_component() -> None:
    spans = [span(i, took_ms=i, failed=i > 90) for i in range(1, 101)]
    (batch,) = requests_of(seen(orders=[*spans, span(200, kind=CLIENT, took_ms=5_000)]).spans)
    assert batch.component == "orders"
    assert {r.name: r.value for r in batch.readings} == {
        "traces_requests": 100,
        "traces_errors": 10,
        "traces_error_ratio": 0.1,
        "traces_duration_seconds_p50": 0.05,
        "traces_duration_seconds_p95": 0.095,
    }


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Span(trace_id=b"short", span_id=b"12345678"), Reason.BAD_ID),
        (Span(trace_id=bytes(16), span_id=b"12345678"), Reason.BAD_ID),
        (Span(trace_id=b"t" * 16, span_id=b"12345678"), Reason.BAD_TIMES),
        (
            Span(trace_id=b"t" * 16, span_id=b"12345678", start_time_unix_nano=S, end_time_unix_nano=2 * S),
            Reason.TOO_OLD,
        ),
    ],
)
def test_spans_that_cant_be_used_take_no_other_with_them(bad: Span, reason: Reason) -> None:
    found = seen(orders=[bad, span(1)])
    assert (len(found.spans), dict(found.rejected.reasons)) == (1, {reason: 1})


# ---- calls


def test_a_parent_of_another_service_is_the_caller() -> None:
    request = seen(edge=[span(1)], orders=[span(2, parent=1, took_ms=30, failed=True), span(3, parent=2)])
    (calls,) = CallMemory().observe(request.spans, 0)
    assert (calls.caller, calls.callee, calls.count, calls.errors) == ("edge", "orders", 1, 1)
    assert calls.duration_sum_s == pytest.approx(0.03)


@pytest.mark.parametrize("callee_first", [True, False])
def test_both_ends_may_come_in_different_requests_in_any_order(callee_first: bool) -> None:
    requests = [seen(edge=[span(1, kind=CLIENT)]), seen(orders=[span(2, parent=1)])]
    assert edges(CallMemory(), *(reversed(requests) if callee_first else requests)) == [("edge", "orders", 1)]


@pytest.mark.parametrize(
    ("client", "callee"),
    [
        (span(1, kind=CLIENT, peer_service="Payments"), "payments"),
        (span(1, kind=CLIENT, db_system_name="postgresql"), "postgresql"),
        (span(1, kind=CLIENT, server_address="payments.shop.svc.cluster.local"), "payments"),
        (span(1, kind=PRODUCER, messaging_system="kafka"), "kafka"),
        (span(1, kind=CONSUMER, messaging_system="kafka"), "kafka"),
    ],
)
def test_a_client_names_whom_it_calls(client: Span, callee: str) -> None:
    assert edges(CallMemory(), seen(orders=[client])) == [("orders", callee, 1)]


@pytest.mark.parametrize(
    "client",
    [
        span(1, kind=CLIENT, server_address="10.1.2.3"),
        span(1, kind=CLIENT, server_address="::1"),
        span(1, kind=CLIENT, peer_service="orders"),
        span(1, kind=INTERNAL, peer_service="payments"),
        span(1, kind=CONSUMER, server_address="broker"),
    ],
)
def test_addresses_oneself_and_other_kinds_are_nobody(client: Span) -> None:
    assert edges(CallMemory(), seen(orders=[client])) == []


def test_a_call_seen_at_both_ends_counts_once() -> None:
    client, server = seen(edge=[span(1, kind=CLIENT, peer_service="orders")]), seen(orders=[span(2, parent=1)])
    assert edges(CallMemory(), client, server) == [("edge", "orders", 1)]
    assert edges(CallMemory(), server, client) == [("edge", "orders", 1)]


def test_the_callees_own_word_goes_before_an_address() -> None:
    request = seen(edge=[span(1, kind=CLIENT, server_address="lb.example")], orders=[span(2, parent=1)])
    assert edges(CallMemory(), request) == [("edge", "orders", 1)]


def test_a_producer_does_not_wait_for_its_consumers() -> None:
    assert edges(CallMemory(), seen(orders=[span(1, kind=PRODUCER)], mail=[span(2, parent=1, kind=CONSUMER)])) == []


def test_the_same_spans_sent_again_have_the_same_identity() -> None:
    memory = CallMemory()
    request = seen(edge=[span(1)], orders=[span(2, parent=1)])
    (first,), (again,) = memory.observe(request.spans, 0), memory.observe(request.spans, 1)
    assert first.identity == again.identity


def test_what_is_long_past_is_forgotten() -> None:
    memory = CallMemory(keep_s=60)
    memory.observe(seen(edge=[span(1)]).spans, 100)
    for now_s in (200, 300):
        memory.observe([], now_s)
    assert memory.observe(seen(orders=[span(2, parent=1)]).spans, 301) == []


def test_memory_is_bounded() -> None:
    memory = CallMemory(most=100, most_waiting=100)
    spans = [span(i, parent=10_000 + i) for i in range(1, 1_000)]
    spans += [span(10_000 + i, parent=20_000) for i in range(1, 1_000)]
    memory.observe(seen(orders=spans).spans, 0)
    assert len(memory) <= 400


NAMES = st.sampled_from(["edge", "orders", "payments"])
TREES = st.lists(st.tuples(NAMES, st.integers(0, 30), st.sampled_from([SERVER, CLIENT])), min_size=1, max_size=30)


@given(TREES, st.randoms(use_true_random=False))
def test_any_order_and_any_cut_shows_the_same_calls(tree: list[tuple[str, int, int]], random: object) -> None:
    """Parents are earlier in the list; spans of kinds other than SERVER never have a parent in another process."""
    spans: list[SpanSeen] = []
    for place, (name, parent, kind) in enumerate(tree, 1):
        parent = parent if parent < place else 0
        served = bool(parent) and (kind == SERVER or tree[parent - 1][0] != name)
        spans += seen(**{name: [span(place, parent=parent, kind=SERVER if served or not parent else CLIENT)]}).spans
    whole = {(c.caller, c.callee): c.count for c in CallMemory().observe(spans, 0)}
    random.shuffle(spans)  # type: ignore[attr-defined]
    memory, parts = CallMemory(), {}
    for one in spans:
        for calls in memory.observe([one], 0):
            parts[calls.caller, calls.callee] = parts.get((calls.caller, calls.callee), 0) + calls.count
    assert parts == whole
