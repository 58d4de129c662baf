"""OpenTelemetry's own SDK sends to the gateway over HTTP, and what it tells arrives; and what the protocol promises."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from pydantic import SecretStr

from services.diagnoser.app import build as build_diagnoser
from services.diagnoser.settings import Settings as DiagnoserSettings
from services.gateway.app import wire
from services.gateway.settings import Settings
from shared.contracts.base import ComponentEvent, Severity
from shared.contracts.detector import DetectionMethod, Incident, Transition
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.ingest import LogBatch, MetricBatch, ObservedCalls
from shared.runtime import Service
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]
ADMIN = "an-admin-token-for-tests-0123456789"
DOOR = {"Authorization": f"Bearer {ADMIN}"}
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


class Gateway:
    """A running gateway, and what its stream holds."""

    def __init__(self, url: str, platform: Platform, service: Service) -> None:
        self.url = url
        self.platform = platform
        self.service = service
        self.http = httpx.AsyncClient(base_url=url, headers=DOOR)

    async def stored[E: ComponentEvent](self, contract: type[E], stream: str = "INGEST") -> list[E]:
        client = await self.platform.connect_nats()
        try:
            jetstream = client.jetstream()
            last = (await jetstream.stream_info(stream)).state.last_seq
            messages = [await jetstream.get_msg(stream, sequence) for sequence in range(1, last + 1)]
        finally:
            await client.close()
        bodies = [m.data for m in messages if (m.subject or "").startswith(contract.SUBJECT)]
        return [contract.model_validate_json(body or b"") for body in bodies]

    async def post(self, signal: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.http.post(f"/v1/{signal}", content=body, headers=headers)


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    service, server = wire(platform.settings(Settings, http_port=0, admin_token=SecretStr(ADMIN)))
    await service.start()
    try:
        async with asyncio.timeout(5):
            await server.listening.wait()
        assert server.address is not None
        running = Gateway("http://{}:{}".format(*server.address), platform, service)
        async with running.http:
            yield running
    finally:
        await service.stop()


# ---- the SDK as a client


def resource(service: str) -> Resource:
    return Resource({"service.name": service, "service.instance.id": f"{service}-1"})


@contextmanager
def tracing(url: str, service: str) -> Iterator[TracerProvider]:
    """A service that is traced; what it has told is sent when the block ends."""
    provider = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", headers=DOOR)))
    try:
        yield provider
        assert provider.force_flush(5_000)
    finally:
        provider.shutdown()


def trace_requests(url: str, caller: str, callee: str, count: int, *, failing: bool = False) -> None:
    """Requests to `caller`, each with a call to `callee`. The callee's spans are sent first, as in real life."""
    with tracing(url, caller) as calling, tracing(url, callee) as called:
        for _ in range(count):
            server = calling.get_tracer("test").start_span("GET /", Context(), SpanKind.SERVER)
            client = calling.get_tracer("test").start_span("call", set_span_in_context(server), SpanKind.CLIENT)
            answer = called.get_tracer("test").start_span("serve", set_span_in_context(client), SpanKind.SERVER)
            if failing:
                answer.set_status(StatusCode.ERROR)
            for span in (answer, client, server):
                span.end()


def export_metrics(url: str) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics", headers=DOOR), 60_000)
    provider = MeterProvider([reader], resource("orders"), shutdown_on_exit=False)
    meter = provider.get_meter("test")
    requests = meter.create_counter("http.server.requests", "{request}")
    bounds = [0.01, 0.025, 0.05, 0.1]
    duration = meter.create_histogram("http.server.request.duration", "s", explicit_bucket_boundaries_advisory=bounds)
    meter.create_up_down_counter("queue.length", "{job}").add(7)
    for _ in range(2):
        requests.add(3, {"http.route": "/orders"})
        for _ in range(100):
            duration.record(0.03)
        assert provider.force_flush(5_000)
    provider.shutdown()


def export_logs(url: str) -> None:
    provider = LoggerProvider(resource("orders"), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs", headers=DOOR)))
    logger = logging.getLogger(f"test.{uuid4().hex}")
    logger.propagate = False
    logger.addHandler(LoggingHandler(logger_provider=provider))
    try:
        int("no such order")
    except ValueError:
        logger.exception("checkout failed")
    provider.shutdown()


async def test_the_sdk_exports_metrics(gateway: Gateway) -> None:
    await asyncio.to_thread(export_metrics, gateway.url)
    first, second, *_at_shutdown = [
        {sample.name: sample for sample in batch.samples}
        for batch in sorted(await gateway.stored(MetricBatch), key=lambda batch: batch.at)
        if batch.component == "orders"
    ]
    assert (first["http_server_requests_total"].value, second["http_server_requests_total"].value) == (3, 6)
    assert second["http_server_requests_total"].labels == {"http_route": "/orders", "service_instance_id": "orders-1"}
    assert second["queue_length"].value == 7
    assert second["http_server_request_duration_seconds_count"].value == 200
    assert "http_server_request_duration_seconds_p95" not in first, "nothing is known of what came before"
    assert 0.025 <= second["http_server_request_duration_seconds_p95"].value <= 0.05


async def test_the_sdk_exports_logs(gateway: Gateway) -> None:
    await asyncio.to_thread(export_logs, gateway.url)
    (batch,) = await gateway.stored(LogBatch)
    (line,) = batch.lines
    assert (batch.component, line.level) == ("orders", "error")
    assert line.message.startswith("checkout failed\nTraceback")
    assert "ValueError: invalid literal" in line.message


async def test_the_sdk_exports_traces_that_show_requests_and_calls(gateway: Gateway) -> None:
    await asyncio.to_thread(trace_requests, gateway.url, "edge", "orders", 5, failing=True)
    (calls,) = await gateway.stored(ObservedCalls)
    assert (calls.component, calls.callee, calls.count, calls.errors) == ("edge", "orders", 5, 5)
    assert calls.duration_sum_ms > 0
    figures = {
        batch.component: {sample.name: sample.value for sample in batch.samples}
        for batch in await gateway.stored(MetricBatch)
    }
    assert (figures["edge"]["traces_requests"], figures["edge"]["traces_error_ratio"]) == (5, 0)
    assert (figures["orders"]["traces_requests"], figures["orders"]["traces_error_ratio"]) == (5, 1)


# ---- the protocol


def gauges(*names: str) -> ExportMetricsServiceRequest:
    now_ns = int(datetime.now(UTC).timestamp() * 1e9)
    points = [NumberDataPoint(as_double=1, time_unix_nano=now_ns)]
    metrics = [Metric(name=name, gauge=Gauge(data_points=points)) for name in names]
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=metrics)])]
    )


async def test_success_and_partial_success_are_told_in_the_encoding_of_the_request(gateway: Gateway) -> None:
    whole = await gateway.post("metrics", gauges("up").SerializeToString(), PROTOBUF)
    assert (whole.status_code, whole.headers["content-type"], whole.content) == (200, "application/x-protobuf", b"")
    partial = await gateway.post("metrics", gauges("up", "").SerializeToString(), PROTOBUF)
    answer = ExportMetricsServiceResponse.FromString(partial.content)
    assert (partial.status_code, answer.partial_success.rejected_data_points) == (200, 1)
    assert "no-name" in answer.partial_success.error_message

    now_ns = str(int(datetime.now(UTC).timestamp() * 1e9))
    metrics = [{"name": n, "gauge": {"dataPoints": [{"asInt": "1", "timeUnixNano": now_ns}]}} for n in ("up", "")]
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()
    partial = await gateway.post("metrics", gzip.compress(body), JSON | {"content-encoding": "gzip"})
    assert (partial.status_code, partial.headers["content-type"]) == (200, "application/json")
    assert partial.json()["partialSuccess"]["rejectedDataPoints"] == "1"
    assert (await gateway.post("logs", b"{}", JSON)).json() == {}


UNUSABLE = {
    "other bytes": (b"\xff\xff", PROTOBUF, 400, 3),
    "no object": (b"[]", JSON, 400, 3),
    "another type": (b"{}", {"content-type": "text/plain"}, 415, 3),
    "another encoding": (b"{}", JSON | {"content-encoding": "br"}, 415, 3),
    "no gzip": (b"{}", JSON | {"content-encoding": "gzip"}, 400, 3),
    "a bomb": (gzip.compress(bytes(40 * 1024**2)), PROTOBUF | {"content-encoding": "gzip"}, 413, 8),
    "deep": (b"[" * 100_000, JSON, 400, 3),
    "a stranger": (b"{}", JSON | {"authorization": "Bearer nobody"}, 401, 16),
}


async def test_what_cant_be_taken_is_refused_with_a_status(gateway: Gateway) -> None:
    for signal in ("metrics", "logs", "traces"):
        for what, (body, headers, status, code) in UNUSABLE.items():
            answer = await gateway.post(signal, body, headers)
            assert answer.status_code == status, (signal, what)
            if headers["content-type"] == PROTOBUF["content-type"]:
                told = Status.FromString(answer.content)
                assert (told.code, bool(told.message)) == (code, True), (signal, what)
            else:
                assert (answer.json()["code"], bool(answer.json()["message"])) == (code, True), (signal, what)
    assert await gateway.stored(MetricBatch) == []


async def test_while_the_bus_is_away_senders_are_told_to_come_again(gateway: Gateway) -> None:
    gateway.service.bus.connected = False
    answer = await gateway.post("metrics", gauges("up").SerializeToString(), PROTOBUF)
    assert (answer.status_code, Status.FromString(answer.content).code) == (503, 14)
    assert int(answer.headers["retry-after"]) > 0
    gateway.service.bus.connected = True
    assert (await gateway.post("metrics", gauges("up").SerializeToString(), PROTOBUF)).status_code == 200


# ---- what traces teach


def incident(component: str, pattern: str) -> Incident:
    now = datetime.now(UTC)
    return Incident(
        at=now,
        component=component,
        case_id=uuid4(),
        revision=1,
        transition=Transition.OPENED,
        severity=Severity.CRITICAL,
        fingerprint=f"{component}/{pattern}",
        pattern=pattern,
        method=DetectionMethod.PROBE,
        summary=f"{component} shows {pattern}",
        opened_at=now,
        last_seen_at=now,
    )


@asynccontextmanager
async def diagnosing(platform: Platform) -> AsyncIterator[None]:
    service = build_diagnoser(platform.settings(DiagnoserSettings, settle_s=0.2, review_s=0.3, observed_calls_min=3))
    await service.start()
    try:
        yield
    finally:
        await service.stop()


async def test_a_callers_incident_is_a_symptom_along_a_call_that_only_traces_show(
    gateway: Gateway, eventually: Eventually
) -> None:
    async with diagnosing(gateway.platform):
        await asyncio.to_thread(trace_requests, gateway.url, "edge", "orders", 3)
        edge, orders = incident("edge", "http-timeout"), incident("orders", "process-stopped")
        client = await gateway.platform.connect_nats()
        for event in (edge, orders):
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())
        await client.close()

        async def symptom() -> Diagnosis | None:
            told = [d for d in await gateway.stored(Diagnosis, "EVENTS") if d.case_id == edge.case_id]
            return told[-1] if told and told[-1].symptom_of == orders.case_id else None

        await eventually(symptom)
        diagnosis = await symptom()
        assert diagnosis is not None
        assert diagnosis.best.component == "orders"
        assert any("observed in traces" in words for words in diagnosis.best.evidence)
