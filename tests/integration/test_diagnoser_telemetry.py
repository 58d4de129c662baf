"""Readings of a real stream become evidence: who deviated first, across services, restarts and replicas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import text

from services.diagnoser.app import build
from services.diagnoser.settings import Settings
from shared.contracts.base import Category, Severity
from shared.contracts.detector import DetectionMethod, Incident, Transition
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import PackApplied
from shared.contracts.ingest import Check, CheckResult, MetricBatch, Sample
from shared.runtime import Service
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]

PACK = {
    "pack": "shop",
    "components": {"edge": {"calls": ["orders"]}, "orders": {"calls": ["payments"]}, "payments": {}, "lone": {}},
}
BEFORE = {"edge": 0.1, "orders": 0.06, "payments": 0.02}


async def started(platform: Platform) -> Service:
    service = build(platform.settings(Settings, settle_s=0.3, review_s=0.5))
    await service.start()
    return service


async def publish(client: object, *events: object) -> None:
    jetstream = client.jetstream()  # type: ignore[attr-defined]
    for event in events:
        await jetstream.publish(event.subject, event.model_dump_json().encode())  # type: ignore[attr-defined]


def batches(component: str, begin: datetime, seconds: range, extra: float) -> list[MetricBatch]:
    """Latency in seconds, one reading a second, with 1 % of noise."""
    found = []
    for second in seconds:
        at = begin + timedelta(seconds=second)
        value = BEFORE[component] * (1 + 0.01 * (second % 3)) + extra
        found.append(MetricBatch(at=at, component=component, samples=(Sample(name="latency_mean", value=value),)))
    return found


def slow_edge(at: datetime) -> Incident:
    return Incident(
        at=at,
        component="edge",
        case_id=uuid4(),
        revision=1,
        fingerprint="edge/http-slow",
        pattern="http-slow",
        method=DetectionMethod.PROBE,
        summary="edge is slow",
        transition=Transition.OPENED,
        severity=Severity.CRITICAL,
        opened_at=at,
        last_seen_at=at,
    )


async def diagnoses(client: object) -> list[Diagnosis]:
    jetstream = client.jetstream()  # type: ignore[attr-defined]
    last = (await jetstream.stream_info("EVENTS")).state.last_seq
    messages = [await jetstream.get_msg("EVENTS", sequence) for sequence in range(1, last + 1)]
    return [Diagnosis.model_validate_json(m.data) for m in messages if m.subject.startswith(Diagnosis.SUBJECT)]


async def rows(service: Service) -> dict[str, list[dict[str, object]]]:
    async with service.engine.connect() as connection:
        found = await connection.execute(text("select component, deviations from telemetry"))
        return {row.component: row.deviations for row in found}


async def test_a_callee_that_slowed_first_is_named_though_nobody_raised_its_alarm(
    platform: Platform, eventually: Eventually
) -> None:
    client = await platform.connect_nats()
    await publish(client, PackApplied(at=datetime.now(UTC), pack="shop", version=1, applied_by="test", body=PACK))  # type: ignore[arg-type]
    begin = datetime.now(UTC) - timedelta(seconds=320)
    first = await started(platform)
    try:
        for component in BEFORE:
            await publish(client, *batches(component, begin, range(300), 0.0))

        async def usual_is_known() -> bool:
            return set(await rows(first)) == set(BEFORE)

        await eventually(usual_is_known)
    finally:
        await first.stop()

    second = await started(platform)  # takes up what the first remembered
    try:
        await publish(client, *batches("payments", begin, range(300, 318), 0.4))
        await publish(client, *batches("orders", begin, range(300, 318), 0.4))
        await publish(client, *batches("edge", begin, range(300, 318), 0.4))
        await publish(client, slow_edge(begin + timedelta(seconds=310)))

        async def named() -> bool:
            causes = [cause for one in await diagnoses(client) for cause in one.causes]
            return any((c.component, c.category) == ("payments", Category.TIMEOUT) for c in causes)

        await eventually(named)
        newest = (await diagnoses(client))[-1]
        words = " ".join(text for cause in newest.causes for text in cause.evidence)
        assert "payments's latency_mean rose 2" in words
        assert newest.symptom_of is None
    finally:
        await second.stop()
        await client.close()


async def test_probes_that_fail_deviate_too(platform: Platform, eventually: Eventually) -> None:
    client = await platform.connect_nats()
    service = await started(platform)
    begin = datetime.now(UTC) - timedelta(seconds=100)
    try:
        results = [CheckResult.OK] * 60 + [CheckResult.REFUSED] * 20
        checks = [
            Check(at=begin + timedelta(seconds=i), component="lone", probe="http", result=result, latency_ms=5.0)
            for i, result in enumerate(results)
        ]
        await publish(client, *checks)

        async def deviates() -> bool:
            found = (await rows(service)).get("lone", [])
            return [one["metric"] for one in found] == ["probe_failure_ratio,probe=http"]

        await eventually(deviates)
    finally:
        await service.stop()
        await client.close()
