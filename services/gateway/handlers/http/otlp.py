"""OpenTelemetry over HTTP (OTLP 1.x): metrics, logs and traces, in protobuf and in JSON.

A request is answered in its own encoding: with what was rejected, or, when it can't be taken, with a google.rpc.Status.
200 means that the stream has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces_pb

from services.gateway.domain.ingest.errors import UnsupportedError
from services.gateway.domain.ingest.remote_write import Batch
from services.gateway.domain.otlp.calls import Calls
from services.gateway.domain.otlp.decode import Encoding, encoding_of, read, write
from services.gateway.domain.otlp.logs import Lines, lines_of
from services.gateway.domain.otlp.metrics import Metrics, metrics_of
from services.gateway.domain.otlp.report import Rejected
from services.gateway.domain.otlp.traces import Spans, requests_of, spans_of
from services.gateway.handlers.http.deps import Deps, Sender, Wired
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES, RETRY_AFTER_S, publish, read_body, room
from services.gateway.handlers.http.problems import ApiError
from shared import telemetry
from shared.bus.delivery import is_infrastructure
from shared.contracts.ingest import LogBatch, LogLine, MetricBatch, ObservedCalls, Sample

PROTOCOL = "otlp"
MOST_BYTES = 8 * 1024**2
"""Decompressed; 10,000 spans take about 1.6 MB in protobuf, 4.4 in JSON. Empty messages grow thirtyfold in memory."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CODES = {400: 3, 401: 16, 403: 7, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP status → google.rpc.Code."""


class _Route(APIRoute):
    """Refusals as OTLP wants them, those of the door included."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_otlp(request: Request) -> Response:
            try:
                return await handle(request)
            except ApiError as error:
                return _refused(request, error.status, f"{error.detail}; {error.remedy}", error.headers)
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                said = "the database or the bus is away; send it again later"
                return _refused(request, 503, said, {"Retry-After": str(RETRY_AFTER_S)})

        return handle_otlp


router = APIRouter(tags=["ingest"], route_class=_Route, max_body_size=2 * MAX_REPORT_BYTES)


def _described(message: str) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "description": f"`{message}`; gzip is taken. Answered in the same encoding.",
            "content": {
                Encoding.PROTOBUF.value: {"schema": {"type": "string", "format": "binary"}},
                Encoding.JSON.value: {"schema": {"type": "object"}},
            },
        }
    }


@router.post("/v1/metrics", response_class=Response, openapi_extra=_described("ExportMetricsServiceRequest"))
async def export_metrics(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes OpenTelemetry's metrics; data points that can't be used are told as a partial success."""
    async with room(deps):
        encoding, body = await _body(request)
        taken, events = await asyncio.to_thread(_metrics, deps, body, encoding)
        await publish(deps, events)
        for series, state in taken.marks.items():
            deps.otlp.distributions.note(series, state)
    _count("reading", sum(len(batch.readings) for batch in taken.batches), taken.rejected)
    answer = metrics_pb.ExportMetricsServiceResponse()
    if taken.rejected.count:
        answer.partial_success.rejected_data_points = taken.rejected.count
        answer.partial_success.error_message = taken.rejected.explain()
    return _answer(answer, encoding)


@router.post("/v1/logs", response_class=Response, openapi_extra=_described("ExportLogsServiceRequest"))
async def export_logs(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes OpenTelemetry's log records."""
    async with room(deps):
        encoding, body = await _body(request)
        events = await asyncio.to_thread(_logs, deps, body, encoding)
        await publish(deps, events)
    _count("line", sum(len(event.lines) for event in events))
    return _answer(logs_pb.ExportLogsServiceResponse(), encoding)


@router.post("/v1/traces", response_class=Response, openapi_extra=_described("ExportTraceServiceRequest"))
async def export_traces(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes OpenTelemetry's spans, for what they tell of requests and of who calls whom; they are not kept. Spans that
    can't be used are told as a partial success."""
    async with room(deps):
        encoding, body = await _body(request)
        taken, events = await asyncio.to_thread(_traces, deps, body, encoding)
        # Not in the thread: two requests at once would miss each other's spans.
        calls = deps.otlp.calls.observe(taken.spans, deps.clock().timestamp())
        await publish(deps, [*events, *map(_calls_event, calls)])
    _count("span", len(taken.spans), taken.rejected)
    telemetry.REPORTED.labels(PROTOCOL, "call").inc(sum(one.count for one in calls))
    answer = traces_pb.ExportTraceServiceResponse()
    if taken.rejected.count:
        answer.partial_success.rejected_spans = taken.rejected.count
        answer.partial_success.error_message = taken.rejected.explain()
    return _answer(answer, encoding)


async def _body(request: Request) -> tuple[Encoding, bytes]:
    encoding = encoding_of(request.headers.get("content-type", ""))
    return encoding, await read_body(request, most_bytes=MOST_BYTES)


# ---- in a thread: a large request takes longer than others should wait


def _metrics(deps: Deps, body: bytes, encoding: Encoding) -> tuple[Metrics, Sequence[MetricBatch]]:
    request = read(metrics_pb.ExportMetricsServiceRequest, body, encoding)
    taken = metrics_of(request, deps.components, deps.otlp.distributions, _ns(deps.clock()))
    return taken, [_metrics_event(batch) for batch in taken.batches]


def _logs(deps: Deps, body: bytes, encoding: Encoding) -> Sequence[LogBatch]:
    request = read(logs_pb.ExportLogsServiceRequest, body, encoding)
    return [_logs_event(lines) for lines in lines_of(request, deps.components, _ns(deps.clock()))]


def _traces(deps: Deps, body: bytes, encoding: Encoding) -> tuple[Spans, Sequence[MetricBatch]]:
    request = read(traces_pb.ExportTraceServiceRequest, body, encoding)
    taken = spans_of(request, deps.components, _ns(deps.clock()))
    return taken, [_metrics_event(batch) for batch in requests_of(taken.spans)]


# ---- domain → contracts


def _metrics_event(batch: Batch) -> MetricBatch:
    newest_ms = batch.at_ms
    return MetricBatch(
        id=batch.identity,
        at=_instant(newest_ms * 1_000_000),
        component=batch.component,
        samples=tuple(
            Sample(
                name=reading.name,
                value=reading.value,
                labels=dict(reading.labels),
                at=None if reading.at_ms == newest_ms else _instant(reading.at_ms * 1_000_000),
            )
            for reading in batch.readings
        ),
    )


def _logs_event(lines: Lines) -> LogBatch:
    return LogBatch(
        id=lines.identity,
        at=_instant(lines.at_ns),
        component=lines.component,
        lines=tuple(
            LogLine(level=line.level, message=line.message, at=_instant(line.at_ns), fields=dict(line.fields))
            for line in lines.lines
        ),
    )


def _calls_event(calls: Calls) -> ObservedCalls:
    return ObservedCalls(
        id=calls.identity,
        at=_instant(calls.newest_ns),
        component=calls.caller,
        callee=calls.callee,
        count=calls.count,
        errors=calls.errors,
        duration_sum_ms=round(calls.duration_sum_s * 1_000, 3),
    )


def _instant(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1_000)


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000


# ---- answers


def _count(kind: str, taken: int, rejected: Rejected | None = None) -> None:
    telemetry.REPORTED.labels(PROTOCOL, kind).inc(taken)
    for reason, count in (rejected.reasons if rejected else {}).items():
        telemetry.REPORTED_LEFT_OUT.labels(PROTOCOL, reason.value).inc(count)


def _answer(message: Message, encoding: Encoding) -> Response:
    return Response(write(message, encoding), media_type=encoding.value)


def _refused(request: Request, status: int, said: str, headers: Mapping[str, str]) -> Response:
    """In JSON where the request is in neither encoding: a person will read it."""
    try:
        encoding = encoding_of(request.headers.get("content-type", ""))
    except UnsupportedError:
        encoding = Encoding.JSON
    body: Message = Status(code=_CODES.get(status, 2), message=said)
    return Response(write(body, encoding), status, headers=dict(headers), media_type=encoding.value)
