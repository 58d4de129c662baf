"""Telemetry partitions: in order and exactly once, whoever works on them and whenever they are killed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from sqlalchemy import text

from shared.bus import PARTITIONS, partition_of
from shared.contracts.base import Event
from shared.contracts.ingest import MetricBatch, Sample
from shared.db import service_base
from shared.outbox import Unit
from shared.partitions import PartitionedConsumer
from shared.runtime import Service
from shared.settings import ServiceSettings
from tests.conftest import Platform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPONENTS = [f"c{number}" for number in range(12)]
MESSAGES = 400


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "detector"


class Chain:
    """A fold whose state depends on every message and on their order: a hash chain per component."""

    def __init__(self) -> None:
        self.state: dict[str, str] = {}

    def restore(self, snapshot: bytes | None) -> None:
        self.state = json.loads(snapshot) if snapshot else {}

    def snapshot(self) -> bytes:
        return json.dumps(self.state).encode()

    def apply(self, event: Event, at: datetime) -> Sequence[str]:
        assert isinstance(event, MetricBatch)
        value = event.samples[0].value
        before = self.state.get(event.component, "")
        self.state[event.component] = hashlib.sha256(f"{before}|{value}".encode()).hexdigest()
        return [f"{event.component}:{value:g}"] if value % 7 == 0 else []


def expected() -> tuple[dict[str, str], list[str]]:
    chain = Chain()
    effects: list[str] = []
    for number in range(MESSAGES):
        effects += chain.apply(batch(number), NOW)
    return chain.state, sorted(effects)


def batch(number: int) -> MetricBatch:
    component = COMPONENTS[number % len(COMPONENTS)]
    return MetricBatch(at=NOW, component=component, samples=(Sample(name="m", value=number),))


class Replica:
    """One process' worth of detector, which can be killed without warning."""

    def __init__(self, platform: Platform) -> None:
        metadata = service_base().metadata
        self.metadata = metadata
        self.service = Service("detector", platform.settings(Settings), metadata)
        self.consumer: PartitionedConsumer[str] = self.service.partitions(
            kinds=["metrics"], make=lambda _partition: Chain(), commit=self._commit
        )

    async def _commit(self, unit: Unit, effects: Sequence[str]) -> None:
        for effect in effects:
            await unit.session.execute(text("insert into effects (name) values (:name)"), {"name": effect})

    async def start(self) -> None:
        async with self.service.engine.begin() as connection:
            await connection.run_sync(self.metadata.create_all)
            await connection.execute(text("create table if not exists effects (name text)"))
        await self.service.start()

    async def kill(self) -> None:
        """As SIGKILL would: nothing is saved, connections simply break."""
        for task in self.service._running:
            task.cancel()
        for worker in self.consumer._workers.values():
            worker.cancel()
        await self.service.bus.broker.connection.close()
        await self.service.engine.dispose()

    async def state(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for fold in self.consumer.folds.values():
            assert isinstance(fold, Chain)
            merged |= fold.state
        return merged


async def effects(replica: Replica) -> list[str]:
    async with replica.service.units.begin() as unit:
        return sorted((await unit.session.execute(text("select name from effects"))).scalars())


async def eventually_saved(replica: Replica, names: list[str], eventually: Callable[..., Awaitable[None]]) -> None:
    """State is in memory before its effects are committed."""

    async def saved() -> bool:
        return len(await effects(replica)) >= len(names)

    await eventually(saved)
    assert await effects(replica) == names


async def test_a_replica_takes_over_from_a_killed_one_and_the_state_equals_an_uninterrupted_run(
    platform: Platform, eventually: Callable[..., Awaitable[None]]
) -> None:
    state, names = expected()
    first, second = Replica(platform), Replica(platform)
    await first.start()
    await eventually(lambda: len(first.consumer.owned) == PARTITIONS)
    for number in range(MESSAGES // 2):
        await first.service.bus.publish(batch(number))
    publishing = asyncio.create_task(_publish_rest(platform))
    await asyncio.sleep(0)
    await first.kill()
    await second.start()
    await publishing

    async def all_done() -> bool:
        return await second.state() == state

    await eventually(all_done, within_s=30)
    await eventually_saved(second, names, eventually)
    await second.service.stop()


async def _publish_rest(platform: Platform) -> None:
    client = await platform.connect_nats("publisher")
    for number in range(MESSAGES // 2, MESSAGES):
        event = batch(number)
        await client.jetstream().publish(event.subject, event.model_dump_json().encode())
    await client.close()


async def test_two_replicas_share_the_partitions_and_a_leaving_one_hands_over_its_state(
    platform: Platform, eventually: Callable[..., Awaitable[None]]
) -> None:
    state, names = expected()
    first, second = Replica(platform), Replica(platform)
    await first.start()
    await second.start()
    await eventually(lambda: (len(first.consumer.owned), len(second.consumer.owned)) == (16, 16), within_s=20)
    assert not first.consumer.owned & second.consumer.owned
    for number in range(MESSAGES):
        await second.service.bus.publish(batch(number))

    async def both_done() -> bool:
        return await first.state() | await second.state() == state

    await eventually(both_done, within_s=20)
    await first.service.stop()

    async def taken_over() -> bool:
        return len(second.consumer.owned) == PARTITIONS and await second.state() == state

    await eventually(taken_over, within_s=20)
    await eventually_saved(second, names, eventually)
    await second.service.stop()


async def test_a_checkpoint_of_an_older_claim_is_refused(
    platform: Platform, eventually: Callable[..., Awaitable[None]]
) -> None:
    """A replica that slept through its own replacement can't overwrite the state of the new owner."""
    replica = Replica(platform)
    await replica.start()
    await eventually(lambda: len(replica.consumer.owned) == PARTITIONS)
    await replica.service.bus.publish(batch(0))
    partition = partition_of(COMPONENTS[0])
    await eventually(lambda: replica.consumer.folds[partition].snapshot() != b"{}")
    async with replica.service.units.begin() as unit:
        await unit.session.execute(
            text("update partition_checkpoint set epoch = epoch + 1 where partition = :partition"),
            {"partition": partition},
        )
    await replica.service.bus.publish(batch(7 * len(COMPONENTS)))  # gives an effect, so it must be saved
    old_fold = replica.consumer.folds[partition]
    await eventually(lambda: replica.consumer.folds.get(partition) not in (None, old_fold), within_s=20)
    async with replica.service.units.begin() as unit:
        row = await unit.session.execute(
            text("select epoch, snapshot from partition_checkpoint where partition = :p"), {"p": partition}
        )
        assert row.one().epoch >= 3
    await replica.service.stop()


@pytest.mark.parametrize("bad", [b"{", b'{"samples": "none"}'])
async def test_an_unreadable_metric_is_set_aside_and_the_stream_goes_on(
    platform: Platform, eventually: Callable[..., Awaitable[None]], bad: bytes
) -> None:
    replica = Replica(platform)
    replica.consumer._buries_unreadable = True
    await replica.start()
    component = COMPONENTS[0]
    await replica.service.bus.jetstream.publish(f"ingest.metrics.v1.{component}", bad)
    await replica.service.bus.publish(batch(0))

    async def went_on() -> bool:
        return component in await replica.state()

    await eventually(went_on)
    info = await replica.service.bus.jetstream.stream_info("DLQ")
    assert info.state.messages == 1
    await replica.service.stop()
