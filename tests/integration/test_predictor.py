"""The predictor between a real bus and a real database: readings in, predictions out, outcomes remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from nats.aio.client import Client
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from services.predictor.app import build
from services.predictor.settings import Settings
from services.predictor.store import Base
from shared.contracts.base import CaseKind, Category, Event
from shared.contracts.decider import Decision, Plan, Verdict
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import Outcome, Result
from shared.contracts.ingest import MetricBatch, Sample
from shared.contracts.predictor import Moment, Prediction, Validation
from shared.db import schema_differences
from shared.packs.model import Pack
from shared.runtime import Service
from tests.conftest import Platform

MIB = 2.0**20
START = datetime(2026, 1, 1, tzinfo=UTC)
PACK = Pack.model_validate(
    {
        "pack": "shop",
        "mode": "auto",
        "components": {"catalog": {"kind": "http-service", "criticality": "high"}, "edge": {"calls": ["catalog"]}},
        "limits": [{"component": "catalog", "metric": "resident_memory_bytes", "limit": "400Mi"}],
        "playbooks": {"restart-it": {"for": ["resource-exhaustion"], "steps": [{"process.restart": {}}]}},
    }
)


def batch(second: int, memory_mib: float, started: float = 1.0) -> MetricBatch:
    samples = (
        Sample(name="resident_memory_bytes", value=memory_mib * MIB),
        Sample(name="process_start_time_seconds", value=started),
    )
    return MetricBatch(at=START + timedelta(seconds=second), component="catalog", samples=samples)


class World:
    def __init__(self, platform: Platform, client: Client, service: Service) -> None:
        self.platform = platform
        self.client = client
        self.service = service
        self.told: list[Prediction] = []

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self.client.jetstream().publish(event.subject, event.model_dump_json(by_alias=True).encode())

    async def leak(self, seconds: int) -> None:
        await self.publish(*(batch(second, 80 + 5 * second) for second in range(seconds)))

    async def row(self) -> dict[str, object]:
        connection = await self.platform.connect_postgres("predictor")
        found = await connection.fetchrow("select * from maintenance_predictions")
        await connection.close()
        return dict(found) if found else {}


@pytest.fixture
async def world(platform: Platform) -> AsyncIterator[World]:
    client = await platform.connect_nats()
    applied = PackApplied(
        at=START, pack="shop", version=1, applied_by="test", body=PACK.model_dump(mode="json", by_alias=True)
    )
    await client.jetstream().publish(applied.subject, applied.model_dump_json().encode())
    service = build(platform.settings(Settings))
    found = World(platform, client, service)

    async def hear(message: object) -> None:
        found.told.append(Prediction.model_validate_json(message.data))  # type: ignore[attr-defined]

    await client.subscribe("predictor.>", cb=hear)
    await service.start()
    yield found
    await found.service.stop()
    await client.close()


Eventually = Callable[..., Awaitable[None]]


def decision(prediction: Prediction) -> Decision:
    spec = PACK.playbooks["restart-it"]
    return Decision(
        at=START + timedelta(seconds=30),
        component="catalog",
        case_id=prediction.case_id,
        case_kind=CaseKind.PREDICTION,
        decision_id=uuid4(),
        verdict=Verdict.EXECUTE,
        reason="within-limits",
        category=Category.RESOURCE_EXHAUSTION,
        signature=prediction.signature,
        confidence=0.9,
        threshold=0.85,
        risk=0.2,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        plan=Plan(
            pack="shop",
            pack_version=1,
            playbook="restart-it",
            spec=spec,
            component="catalog",
            target=PACK.components["catalog"],
        ),
        explanation="memory is running out",
    )


def outcome(made: Decision, result: Result, dry_run: bool = False) -> Outcome:
    return Outcome(
        at=START + timedelta(seconds=90),
        component="catalog",
        case_id=made.case_id,
        case_kind=CaseKind.PREDICTION,
        decision_id=made.decision_id,
        playbook="restart-it",
        signature=made.signature,
        category=made.category,
        confidence=made.confidence,
        result=result,
        reason="test",
        dry_run=dry_run,
        started_at=START + timedelta(seconds=30),
        finished_at=START + timedelta(seconds=90),
    )


async def test_a_leak_is_told_once_with_all_a_reader_needs(world: World, eventually: Eventually) -> None:
    await world.leak(25)
    await eventually(lambda: world.told)
    told = world.told[0]
    assert told.component == "catalog"
    assert told.moment is Moment.QUIET  # no traffic is declared: any moment is as good
    assert told.eta_low_s <= told.eta_s <= told.eta_high_s
    assert told.eta_s == pytest.approx(64 - 15, abs=3)
    assert told.recommended_action == "run restart-it"
    assert told.business_impact == "criticality high; used by edge"
    assert "resident_memory_bytes of catalog" in told.summary
    row = await world.row()
    assert (row["id"], row["status"], row["component_type"]) == (told.case_id, "open", "http-service")
    assert len({one.case_id for one in world.told}) == 1


async def test_another_replica_carries_on_with_the_same_prediction(world: World, eventually: Eventually) -> None:
    await world.leak(25)
    await eventually(lambda: world.told)
    await world.service.stop()
    world.service = build(world.platform.settings(Settings))
    await world.service.start()
    await world.publish(*(batch(26 + second, 85, started=2.0) for second in range(3)))
    await eventually(lambda: world.told[-1].moment is Moment.GONE)
    assert world.told[-1].case_id == world.told[0].case_id
    assert [one.revision for one in world.told] == list(range(1, len(world.told) + 1))
    assert (await world.row())["status"] == "ended"


async def test_a_repair_in_time_counts_as_prevented(world: World, eventually: Eventually) -> None:
    await world.leak(25)
    await eventually(lambda: world.told)
    made = decision(world.told[0])
    await world.publish(made)

    async def schedule() -> str | None:
        connection = await world.platform.connect_postgres("predictor")
        status: str | None = await connection.fetchval("select status from maintenance_schedules")
        await connection.close()
        return status

    async def is_scheduled() -> bool:
        return await schedule() == "in-progress"

    await eventually(is_scheduled)
    await world.publish(outcome(made, Result.SUCCEEDED))

    async def is_prevented() -> bool:
        return (await world.row())["status"] == "prevented"

    await eventually(is_prevented)
    assert await schedule() == "completed"
    reply = await world.client.request("cmd.predictor.validate", b'{"days": 3650}')
    found = Validation.model_validate_json(reply.data)
    assert (found.prevented, found.precision, found.prevention) == (1, 1.0, 1.0)


async def test_a_dry_run_prevents_nothing(world: World, eventually: Eventually) -> None:
    await world.leak(25)
    await eventually(lambda: world.told)
    made = decision(world.told[0])
    await world.publish(made, outcome(made, Result.SKIPPED, dry_run=True))
    await world.publish(*(batch(26 + second, 80 + 5 * (26 + second)) for second in range(45)))

    async def is_reached() -> bool:
        return (await world.row())["status"] == "reached"

    await eventually(is_reached)


async def test_it_answers_a_sweep(world: World, eventually: Eventually) -> None:
    await world.leak(25)
    await eventually(lambda: world.told)
    reply = await world.client.request("cmd.predictor.sweep", b"{}")
    assert b'"looked_at":1' in reply.data


async def test_models_and_migrations_agree(platform: Platform) -> None:
    url = make_url(platform.dsn("predictor")).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        differences = [
            one for one in schema_differences(Base.metadata, connection) if "alembic_version" not in str(one)
        ]
    assert differences == []
