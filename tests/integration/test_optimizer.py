"""The optimizer between a real bus and a real database: histograms in, a recommendation out, its effect measured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from nats.aio.client import Client
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from services.optimizer.app import build
from services.optimizer.settings import Settings
from services.optimizer.store import Base
from shared.contracts.base import CaseKind, Category, Event
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import Outcome, Result
from shared.contracts.ingest import MetricBatch, Sample
from shared.contracts.optimizer import Recommendation, Results
from shared.db import schema_differences
from shared.packs.model import Pack
from shared.runtime import Service
from tests.conftest import Platform

START = datetime(2026, 1, 1, tzinfo=UTC)
PACK = Pack.model_validate(
    {
        "pack": "shop",
        "mode": "auto",
        "components": {"payments": {"calls": ["provider"]}, "provider": {}},
        "knobs": [
            {
                "component": "payments",
                "name": "timeout_ms",
                "unit": "ms",
                "apply": {"file.set": {"path": "payments.toml", "key": "upstream.timeout_ms", "value": 400}},
                "min": 50,
                "max": 5000,
                "objective": {"minimise": "latency_p99_ms", "guard": "errors.ratio < 0.01"},
            }
        ],
    }
)


def batch(second: int, failing: float = 0.0) -> MetricBatch:
    """Twenty calls a second, nearly all of 20 to 50 ms; `failing` is the share of answers that are errors."""
    calls = 20.0 * second
    at_or_below = {"0.02": 0.0, "0.05": calls * 0.995, "0.1": calls, "+Inf": calls}
    samples = [
        Sample(
            name="upstream_request_duration_seconds_bucket", value=count, labels={"le": bound, "upstream": "provider"}
        )
        for bound, count in at_or_below.items()
    ]
    samples += [
        Sample(name="http_requests_total", value=calls * (1 - failing), labels={"status": "200"}),
        Sample(name="http_requests_total", value=calls * failing, labels={"status": "503"}),
        Sample(name="payments_timeout_ms", value=400),
    ]
    return MetricBatch(at=START + timedelta(seconds=second), component="payments", samples=tuple(samples))


class World:
    def __init__(self, platform: Platform, client: Client) -> None:
        self.platform = platform
        self.client = client
        self.told: list[Recommendation] = []

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self.client.jetstream().publish(event.subject, event.model_dump_json().encode())

    async def results(self) -> Results:
        reply = await self.client.request("cmd.optimizer.results", b'{"days": 3650}')
        return Results.model_validate_json(reply.data)


@pytest.fixture
async def world(platform: Platform) -> AsyncIterator[World]:
    client = await platform.connect_nats()
    body = PACK.model_dump(mode="json", by_alias=True)
    applied = PackApplied(at=START, pack="shop", version=1, applied_by="test", body=body)
    await client.jetstream().publish(applied.subject, applied.model_dump_json().encode())
    service: Service = build(platform.settings(Settings, optimization_window_s=60, optimization_interval_ms=10_000))
    found = World(platform, client)

    async def hear(message: object) -> None:
        found.told.append(Recommendation.model_validate_json(message.data))  # type: ignore[attr-defined]

    await client.subscribe("optimizer.>", cb=hear)
    await service.start()
    yield found
    await service.stop()
    await client.close()


Eventually = Callable[..., Awaitable[None]]


def outcome(told: Recommendation, result: Result, dry_run: bool = False) -> Outcome:
    return Outcome(
        at=told.at,
        component="payments",
        case_id=told.case_id,
        case_kind=CaseKind.RECOMMENDATION,
        decision_id=uuid4(),
        playbook="tune-timeout_ms",
        signature="tuning:timeout_ms",
        category=Category.TUNING,
        confidence=0.9,
        result=result,
        reason="test",
        dry_run=dry_run,
        started_at=told.at,
        applied_at=told.at - timedelta(seconds=120),
        finished_at=told.at,
    )


async def first(world: World, eventually: Eventually) -> Recommendation:
    await world.publish(*(batch(second) for second in range(0, 100, 2)))
    await eventually(lambda: world.told)
    return world.told[0]


async def test_a_recommendation_has_all_a_reader_needs_and_its_fate_is_kept(
    world: World, eventually: Eventually
) -> None:
    told = await first(world, eventually)
    assert (told.component, told.knob, told.pack, told.current) == ("payments", "timeout_ms", "shop", 400)
    assert told.recommended == 267
    assert told.samples >= 300
    assert told.risk < 0.4
    assert "267 ms instead of 400 ms" in told.expected_improvement
    assert "p99 50 ms" in told.evidence
    assert told.implementation_steps[1] == "set upstream.timeout_ms to 267 in payments.toml"
    await world.publish(outcome(told, Result.SUCCEEDED))

    async def is_applied() -> bool:
        return (await world.results()).applied == 1

    await eventually(is_applied)
    (row,) = (await world.results()).results
    assert (row.status, row.recommended, row.case_id) == ("applied", 267, told.case_id)
    await world.publish(*(batch(second) for second in range(100, 200, 2)))

    async def is_measured() -> bool:
        return (await world.results()).measured == 1

    await eventually(is_measured)
    assert (await world.results()).p99_change == pytest.approx(0, abs=0.05)


async def test_while_answers_fail_nothing_is_recommended(world: World, eventually: Eventually) -> None:
    """The guard of the pack allows one in a hundred."""
    await world.publish(*(batch(second, failing=0.05) for second in range(0, 200, 2)))
    reached = await world.client.jetstream().stream_info("INGEST")
    second = 200

    async def is_folded() -> bool:
        nonlocal second
        await world.publish(batch(second, failing=0.05))  # checkpoints are written with readings
        second += 1
        connection = await world.platform.connect_postgres("optimizer")
        sequence = await connection.fetchval("select max(stream_sequence) from partition_checkpoint")
        await connection.close()
        return bool(sequence >= reached.state.last_seq)

    await eventually(is_folded, every_s=0.2)
    assert not world.told


async def test_a_dry_run_applies_nothing(world: World, eventually: Eventually) -> None:
    told = await first(world, eventually)
    await world.publish(outcome(told, Result.SKIPPED, dry_run=True))

    async def is_skipped() -> bool:
        return [row.status for row in (await world.results()).results] == ["skipped"]

    await eventually(is_skipped)


async def test_it_answers_a_sweep(world: World) -> None:
    reply = await world.client.request("cmd.optimizer.sweep", b"{}")
    assert b'"looked_at":1' in reply.data


async def test_models_and_migrations_agree(platform: Platform) -> None:
    url = make_url(platform.dsn("optimizer")).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        differences = [
            one for one in schema_differences(Base.metadata, connection) if "alembic_version" not in str(one)
        ]
    assert differences == []
