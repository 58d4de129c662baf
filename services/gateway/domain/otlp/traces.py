"""From OpenTelemetry's spans to requests of components: how many, how many failed, how long they took."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule, slug
from services.gateway.domain.ingest.remote_write import Batch, Reading
from services.gateway.domain.otlp.attributes import Source, label_text, source_of
from services.gateway.domain.otlp.report import NS_PER_MS, Batches, Reason, Rejected, time_problem

MAX_SPANS = 20_000
NS_PER_S = 1_000_000_000
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_SERVED = frozenset({Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER})
_ASKED = frozenset({Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER})
_SYSTEMS = ("db.system.name", "db.system", "messaging.system")
_ADDRESSES = ("server.address", "net.peer.name")
_PEER_ATTRIBUTES = frozenset({"peer.service", *_SYSTEMS, *_ADDRESSES})


@dataclass(frozen=True, slots=True)
class SpanSeen:
    """One span, as far as it tells who calls whom. Ids are those of trace and span together."""

    id: bytes
    parent_id: bytes | None
    component: str
    served: bool
    """Work that was asked for by others: of kind SERVER or CONSUMER."""
    waits: bool
    """Its parent waits for it: that of a CONSUMER does not, so its trouble is not the parent's."""
    peer: str | None
    """The component that it calls, by the caller's own account."""
    failed: bool
    duration_s: float
    end_ns: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Spans:
    """What came of a request."""

    spans: Sequence[SpanSeen]
    rejected: Rejected


def spans_of(request: ExportTraceServiceRequest, rule: ComponentRule, now_ns: int) -> Spans:
    """Every usable span.

    Raises:
        TooLargeError: more spans than one request may have. Nothing of it is to be taken.
    """
    seen: list[SpanSeen] = []
    rejected = Rejected()
    count = 0
    for resource in request.resource_spans:
        source = source_of(resource.resource, rule)
        for scope in resource.scope_spans:
            count += len(scope.spans)
            if count > MAX_SPANS:
                raise TooLargeError(f"more than {MAX_SPANS} spans at once", "send smaller batches")
            for span in scope.spans:
                problem = _problem(span, now_ns)
                if problem is None:
                    seen.append(_seen(span, source))
                else:
                    rejected.add(problem, span.name)
    return Spans(seen, rejected)


def _problem(span: Span, now_ns: int) -> Reason | None:
    if len(span.trace_id) != _TRACE_BYTES or len(span.span_id) != _SPAN_BYTES:
        return Reason.BAD_ID
    if not any(span.trace_id) or not any(span.span_id):
        return Reason.BAD_ID
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        return Reason.BAD_TIMES
    return time_problem(span.end_time_unix_nano, now_ns)


def _seen(span: Span, source: Source) -> SpanSeen:
    parent = span.parent_span_id
    has_parent = len(parent) == _SPAN_BYTES and any(parent)
    return SpanSeen(
        id=span.trace_id + span.span_id,
        parent_id=span.trace_id + parent if has_parent else None,
        component=source.component,
        served=span.kind in _SERVED,
        waits=span.kind != Span.SPAN_KIND_CONSUMER,
        peer=_peer(span) if span.kind in _ASKED or span.kind == Span.SPAN_KIND_CONSUMER else None,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        duration_s=(span.end_time_unix_nano - span.start_time_unix_nano) / NS_PER_S,
        end_ns=span.end_time_unix_nano,
        labels=source.labels,
    )


def _peer(span: Span) -> str | None:
    """What the span depends on. A consumer's server is named by its system; its address says nothing more."""
    told = _told(span.attributes)
    if name := told.get("peer.service"):
        return slug(name)
    if name := next((told[key] for key in _SYSTEMS if told.get(key)), None):
        return slug(name)
    if span.kind == Span.SPAN_KIND_CONSUMER:
        return None
    return next((peer_of_host(told[key]) for key in _ADDRESSES if told.get(key)), None)


def _told(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {a.key: label_text(a.value).strip() for a in attributes if a.key in _PEER_ATTRIBUTES}


def peer_of_host(host: str) -> str | None:
    """The component behind a host's name. An address tells nothing: balancers and pods come and go.

    >>> peer_of_host("orders.shop.svc.cluster.local"), peer_of_host("orders"), peer_of_host("api.pay.example")
    ('orders', 'orders', 'api-pay-example')
    >>> peer_of_host("10.0.0.7"), peer_of_host("localhost")
    (None, None)
    """
    host = host.strip().strip("[]").rstrip(".").lower()
    if not host or host == "localhost" or host.startswith("/"):
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        first, *others = host.split(".")
        return slug(first if "svc" in others[1:2] else host)
    return None


def requests_of(spans: Sequence[SpanSeen]) -> list[Batch]:
    """Gauges over the spans of one request to the gateway: how many were served, failed, and how long they took.

    Gauges, since replicas of the gateway would each count a part. With sampling they are of what was sampled.
    """
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[SpanSeen]] = {}
    for span in spans:
        if span.served:
            groups.setdefault((span.component, tuple(sorted(span.labels.items()))), []).append(span)
    batches = Batches()
    for (component, labels), served in groups.items():
        at_ms = max(span.end_ns for span in served) // NS_PER_MS
        batches.add(component, [Reading(name, value, dict(labels), at_ms) for name, value in _figures(served)])
    return batches.done


def _figures(served: Sequence[SpanSeen]) -> Iterator[tuple[str, float]]:
    failed = sum(span.failed for span in served)
    durations = sorted(span.duration_s for span in served)
    yield "traces_requests", float(len(served))
    yield "traces_errors", float(failed)
    yield "traces_error_ratio", failed / len(served)
    for percent in (50, 95):
        yield f"traces_duration_seconds_p{percent}", durations[math.ceil(percent / 100 * len(durations)) - 1]
