"""Delivery, on a real NATS and PostgreSQL: once, with delay, set aside, replayed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ClassVar
from uuid import uuid4

import asyncpg
import nats
import pytest
from pydantic import BaseModel
from sqlalchemy import text

from shared.bus import BusRequestError, CommandRefusedError, dlq
from shared.bus.streams import EVENTS, INGEST, partition_of
from shared.contracts.detector import Anomaly
from shared.contracts.ingest import Change, ChangeKind
from shared.contracts.learner import Knowledge
from shared.db import service_base
from shared.outbox import Unit
from shared.runtime import Service
from shared.settings import ServiceSettings
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "diagnoser"


class DetectorSettings(ServiceSettings):
    SERVICE: ClassVar[str] = "detector"


def anomaly(component: str = "orders") -> Anomaly:
    return Anomaly(
        at=NOW, component=component, metric="m", observed=1, expected_low=0, expected_high=0, score=9, since=NOW
    )


@asynccontextmanager
async def running(
    platform: Platform, kind: type[ServiceSettings], register: Callable[[Service], None]
) -> AsyncIterator[Service]:
    metadata = service_base().metadata
    service = Service(kind.SERVICE, platform.settings(kind), metadata)
    async with service.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    register(service)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def test_an_emitted_event_is_handled_once_and_its_outbox_row_forgotten(
    platform: Platform, eventually: Eventually
) -> None:
    seen: list[Anomaly] = []

    async def handle(event: Anomaly, _unit: Unit) -> None:
        seen.append(event)

    async with (
        running(platform, DetectorSettings, lambda s: None) as detector,
        running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)) as diagnoser,
    ):
        event = anomaly()
        async with detector.units.begin() as unit:
            unit.emit(event)
        await eventually(lambda: seen == [event])
        await detector.bus.jetstream.publish(event.subject, event.model_dump_json().encode())
        await eventually(lambda: diagnoser.bus.routes["diagnoser-detector-anomaly-v1"].attempts == 2)

        async def outbox_is_empty() -> bool:
            async with detector.units.begin() as unit:
                return (await unit.session.execute(text("select count(*) from outbox"))).scalar_one() == 0

        await eventually(outbox_is_empty)
    assert seen == [event]


async def test_what_a_crash_left_in_the_outbox_is_published_by_the_sweep(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, DetectorSettings, lambda s: None) as detector:
        detector.units.wake_with(lambda _messages: None)  # as if the process had died right after its commit
        async with detector.units.begin() as unit:
            unit.emit(anomaly())

        async def published() -> bool:
            return (await detector.bus.jetstream.stream_info(EVENTS)).state.messages == 1

        await eventually(published)


async def _emit_then_fail(service: Service) -> None:
    async with service.units.begin() as unit:
        unit.emit(anomaly())
        raise ZeroDivisionError


async def test_nothing_of_a_failed_unit_remains(platform: Platform) -> None:
    async with running(platform, DetectorSettings, lambda s: None) as detector:
        with pytest.raises(ZeroDivisionError):
            await _emit_then_fail(detector)
        async with detector.units.begin() as unit:
            assert (await unit.session.execute(text("select count(*) from outbox"))).scalar_one() == 0


async def test_a_handler_that_fails_twice_is_tried_again_and_its_writes_count_once(
    platform: Platform, eventually: Eventually
) -> None:
    tries = 0

    async def handle(_event: Anomaly, unit: Unit) -> None:
        nonlocal tries
        tries += 1
        await unit.session.execute(text("insert into replica values (:name, now())"), {"name": str(tries)})
        if tries < 3:
            raise ValueError("not yet")

    async with (
        running(platform, DetectorSettings, lambda s: None) as detector,
        running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)) as diagnoser,
    ):
        await detector.bus.publish(anomaly())
        await eventually(lambda: tries == 3)

        async def kept() -> list[str]:
            async with diagnoser.units.begin() as unit:
                return list((await unit.session.execute(text("select replica from replica"))).scalars())

        await eventually(kept)
        assert await kept() == ["3"]


async def test_a_message_that_always_fails_is_set_aside_listed_and_replayed(
    platform: Platform, eventually: Eventually
) -> None:
    broken = True
    handled: list[Anomaly] = []

    async def handle(event: Anomaly, _unit: Unit) -> None:
        if broken:
            raise ValueError("the pack has no such component")
        handled.append(event)

    class GatewaySettings(ServiceSettings):
        SERVICE: ClassVar[str] = "gateway"

    async with (
        running(platform, DetectorSettings, lambda s: None) as detector,
        running(platform, GatewaySettings, lambda s: None) as gateway,
        running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)),
    ):
        await detector.bus.publish(anomaly())

        async def buried() -> list[dlq.DeadLetter]:
            return await dlq.newest(gateway.bus.jetstream)

        await eventually(buried, within_s=30)
        (letter,) = await buried()
        assert letter.service == "diagnoser"
        assert "ValueError: the pack has no such component" in letter.reason

        with pytest.raises(BusRequestError, match="still can't be handled"):
            await gateway.bus.request("diagnoser", "dlq-replay", dlq.Replay(sequence=letter.sequence), dlq.Replayed)
        broken = False
        await gateway.bus.request("diagnoser", "dlq-replay", dlq.Replay(sequence=letter.sequence), dlq.Replayed)
        assert len(handled) == 1
        assert await buried() == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "is not JSON"),
        (b"[1]", "is a JSON list"),
        (b'{"component": "orders", "at": "2026-01-01T00:00:00Z"}', "kind: Field required"),
        (b'{"component": "payments", "kind": "config", "summary": "x"}', "publish on ingest.changes.v1.payments"),
    ],
)
async def test_an_unreadable_message_is_set_aside_with_the_reason_and_the_next_one_is_handled(
    platform: Platform, eventually: Eventually, body: bytes, reason: str
) -> None:
    seen: list[Change] = []

    async def handle(event: Change, _unit: Unit) -> None:
        seen.append(event)

    async with running(platform, Settings, lambda s: s.bus.on(Change, handle)) as diagnoser:
        client = await platform.connect_nats("publisher")
        await client.publish("ingest.changes.v1.orders", body)
        good = {"kind": "config", "summary": "by hand"}
        await client.publish("ingest.changes.v1.orders", json.dumps(good).encode())
        await client.flush()
        await eventually(lambda: [event.summary for event in seen] == ["by hand"])
        assert seen[0].component == "orders"
        await eventually(lambda: _letters(diagnoser))
        (letter,) = await _letters(diagnoser)
        assert reason in letter.reason
        assert letter.body == body
        await client.close()


async def _letters(service: Service) -> list[dlq.DeadLetter]:
    return await dlq.newest(service.bus.jetstream)


async def test_a_structured_cloud_event_is_read(platform: Platform, eventually: Eventually) -> None:
    seen: list[Change] = []

    async def handle(event: Change, _unit: Unit) -> None:
        seen.append(event)

    event = {
        "specversion": "1.0", "id": "deploy-17", "source": "ci", "type": "deployed", "time": "2026-02-03T04:05:06Z",
        "data": {"kind": "deployment", "summary": "v17"},
    }  # fmt: skip
    async with running(platform, Settings, lambda s: s.bus.on(Change, handle)):
        client = await platform.connect_nats("publisher")
        for _ in range(2):
            await client.publish("ingest.changes.v1.orders", json.dumps(event).encode())
        await client.flush()
        await eventually(lambda: seen)
        assert (seen[0].kind, seen[0].at.isoformat()) == (ChangeKind.DEPLOYMENT, "2026-02-03T04:05:06+00:00")
        await client.close()
    assert len(seen) == 1


async def test_a_deleted_consumer_is_noticed_and_made_again(platform: Platform, eventually: Eventually) -> None:
    seen: list[Anomaly] = []

    async def handle(event: Anomaly, _unit: Unit) -> None:
        seen.append(event)

    async with (
        running(platform, DetectorSettings, lambda s: None) as detector,
        running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)) as diagnoser,
    ):
        first, second = anomaly(), anomaly()
        await detector.bus.publish(first)
        await eventually(lambda: seen == [first])
        await diagnoser.bus.jetstream.delete_consumer(EVENTS, "diagnoser-detector-anomaly-v1")
        await detector.bus.publish(second)
        await eventually(lambda: seen == [first, second], within_s=20)


async def test_state_is_read_before_start_returns_and_followed_afterwards(
    platform: Platform, eventually: Eventually
) -> None:
    class LearnerSettings(ServiceSettings):
        SERVICE: ClassVar[str] = "learner"

    def knowledge(runs: int) -> Knowledge:
        return Knowledge(
            at=NOW,
            signature="s",
            playbook="p",
            slug="s-p",
            runs=runs,
            successes=runs,
            success_rate=1,
            confidence_shift=0.1,
        )

    known: dict[str, int] = {}

    async def seen(key: str, event: Knowledge | None) -> None:
        assert event is not None
        known[key] = event.runs

    async with running(platform, LearnerSettings, lambda s: None) as learner:
        for runs in (1, 2):
            await learner.bus.publish(knowledge(runs))
        async with running(platform, Settings, lambda s: s.bus.watch(Knowledge, seen)):
            assert known == {"s-p": 2}
            await learner.bus.publish(knowledge(3))
            await eventually(lambda: known == {"s-p": 3})


class Ping(BaseModel):
    text: str


async def test_a_command_is_answered_refused_or_nobody_is_there(platform: Platform) -> None:
    async def answer(ping: Ping, _unit: Unit) -> Ping:
        if ping.text == "bad":
            raise CommandRefusedError("that is bad: say something good")
        return Ping(text=ping.text.upper())

    class GatewaySettings(ServiceSettings):
        SERVICE: ClassVar[str] = "gateway"

    async with (
        running(platform, GatewaySettings, lambda s: None) as gateway,
        running(platform, Settings, lambda s: s.bus.answer("ping", Ping, answer)),
    ):
        assert (await gateway.bus.request("diagnoser", "ping", Ping(text="hi"), Ping)).text == "HI"
        with pytest.raises(BusRequestError, match="that is bad: say something good"):
            await gateway.bus.request("diagnoser", "ping", Ping(text="bad"), Ping)
        with pytest.raises(BusRequestError, match="healer is not running"):
            await gateway.bus.request("healer", "ping", Ping(text="hi"), Ping)


async def test_the_server_partitions_as_we_compute(platform: Platform) -> None:
    client = await platform.connect_nats()
    jetstream = client.jetstream()
    for component in ("orders", "catalog", "provider-a", f"c{uuid4().hex[:8]}"):
        ack = await jetstream.publish(f"ingest.metrics.v1.{component}", b"{}")
        stored = await jetstream.get_msg(INGEST, ack.seq)
        assert stored.subject == f"ingest.metrics.v1.{partition_of(component)}.{component}"
    await client.close()


async def test_a_service_may_not_publish_in_anothers_name_nor_read_anothers_tables(
    platform: Platform, eventually: Eventually
) -> None:
    errors: list[Exception] = []

    async def remember(error: Exception) -> None:
        errors.append(error)

    client = await nats.connect(platform.servers.nats_url("learner"), error_cb=remember, inbox_prefix=b"_INBOX.learner")
    await client.publish("decider.decision.v1.orders", b"{}")
    await eventually(lambda: errors)
    assert "permissions violation" in str(errors[0]).lower()
    await client.close()

    connection = await platform.connect_postgres("learner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("select * from detector.outbox")
    await connection.close()


async def test_events_that_came_together_are_one_unit_and_a_bad_one_among_them_harms_no_other(
    platform: Platform, eventually: Eventually
) -> None:
    units: dict[int, list[str]] = {}

    async def handle(event: Anomaly, unit: Unit) -> None:
        await unit.session.execute(text("insert into replica values (:name, now())"), {"name": event.component})
        if event.component == "bad":
            raise ValueError("this one never works")
        units.setdefault(id(unit), []).append(event.component)

    async def kept(service: Service) -> list[str]:
        async with service.units.begin() as unit:
            return list((await unit.session.execute(text("select replica from replica order by 1"))).scalars())

    names = ["a", "b", "bad", "c"]
    async with running(platform, DetectorSettings, lambda s: None) as detector:
        async with running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)):
            pass  # the durable is there, and what is published now waits for it
        for name in names:
            await detector.bus.publish(anomaly(name))
        await detector.bus.publish(same := anomaly("d"))
        await detector.bus.publish(same.model_copy(update={"component": "d"}))
        async with running(platform, Settings, lambda s: s.bus.on(Anomaly, handle)) as diagnoser:
            await eventually(lambda: _letters(diagnoser), within_s=30)
            assert await kept(diagnoser) == ["a", "b", "c", "d"]
        assert ["a", "b"] in units.values(), "they waited together, so one unit began with them"
