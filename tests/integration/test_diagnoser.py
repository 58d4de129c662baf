"""The diagnoser beside a real NATS and PostgreSQL: told as timelines of incidents and what is concluded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from services.diagnoser.app import build
from services.diagnoser.settings import Settings
from services.diagnoser.store import Base
from shared.contracts.base import Category, Event, Severity
from shared.contracts.detector import DetectionMethod, Incident, Swept, Transition
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import SweepRequest
from shared.contracts.ingest import Change, ChangeKind
from shared.db import schema_differences
from shared.runtime import Service
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]

PACK = {
    "pack": "shop",
    "components": {
        "edge": {"calls": ["orders"]},
        "orders": {"calls": ["payments"]},
        "payments": {"calls": []},
    },
}


def incident(component: str, pattern: str, case: UUID | None = None, revision: int = 1, **more: object) -> Incident:
    now = datetime.now(UTC)
    fields: dict[str, object] = {
        "transition": Transition.OPENED,
        "severity": Severity.CRITICAL,
        "opened_at": now,
        "last_seen_at": now,
    }
    return Incident(
        at=now,
        component=component,
        case_id=case or uuid4(),
        revision=revision,
        fingerprint=f"{component}/{pattern}",
        pattern=pattern,
        method=DetectionMethod.PROBE,
        summary=f"{component} shows {pattern}",
        **(fields | more),  # type: ignore[arg-type]
    )


def resolved(open_one: Incident) -> Incident:
    now = datetime.now(UTC)
    return open_one.model_copy(
        update={
            "id": uuid4(),
            "at": now,
            "revision": open_one.revision + 1,
            "transition": Transition.RESOLVED,
            "resolved_at": now,
        }
    )


class World:
    """Publishes as others would and reads what the diagnoser says."""

    def __init__(self, service: Service, client: object) -> None:
        self.service = service
        self.client = client

    async def says(self, *events: Event) -> None:
        jetstream = self.client.jetstream()  # type: ignore[attr-defined]
        for event in events:
            await jetstream.publish(event.subject, event.model_dump_json().encode())

    async def diagnoses(self, case: UUID | None = None) -> list[Diagnosis]:
        jetstream = self.client.jetstream()  # type: ignore[attr-defined]
        found = []
        last = (await jetstream.stream_info("EVENTS")).state.last_seq
        for sequence in range(1, last + 1):
            message = await jetstream.get_msg("EVENTS", sequence)
            if message.subject.startswith(Diagnosis.SUBJECT):
                found.append(Diagnosis.model_validate_json(message.data))
        return [one for one in found if case in {None, one.case_id}]


@asynccontextmanager
async def running(platform: Platform, **settings: object) -> AsyncIterator[World]:
    values: dict[str, object] = {"settle_s": 0.3, "symptom_grace_s": 0.5, "review_s": 0.5}
    service = build(platform.settings(Settings, **(values | settings)))
    client = await platform.connect_nats()
    pack = PackApplied(at=datetime.now(UTC), pack="shop", version=1, applied_by="test", body=PACK)  # type: ignore[arg-type]
    await client.jetstream().publish(pack.subject, pack.model_dump_json().encode())
    await service.start()
    try:
        yield World(service, client)
    finally:
        await service.stop()
        await client.close()


async def test_the_tables_are_as_migrated(platform: Platform) -> None:
    async with running(platform) as world, world.service.engine.connect() as connection:
        assert await connection.run_sync(lambda sync: schema_differences(Base.metadata, sync)) == []


async def test_a_crash_is_diagnosed_at_once_and_told_once(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, settle_s=30) as world:
        crashed = incident("payments", "process-exited")
        await world.says(crashed, crashed.model_copy(update={"id": uuid4(), "revision": 2}))

        async def told() -> bool:
            return len(await world.diagnoses()) >= 1

        await eventually(told)
        (diagnosis,) = await world.diagnoses()
        assert diagnosis.best.category is Category.CRASH
        assert diagnosis.case_id == crashed.case_id
        assert diagnosis.symptom_of is None


async def test_the_callers_alarm_may_come_first(platform: Platform, eventually: Eventually) -> None:
    async with running(platform) as world:
        edge, payments = incident("edge", "http-timeout"), incident("payments", "process-stopped")
        await world.says(edge, payments)

        async def both() -> bool:
            return {d.case_id for d in await world.diagnoses()} == {edge.case_id, payments.case_id}

        await eventually(both)
        (symptom,) = await world.diagnoses(edge.case_id)
        assert symptom.symptom_of == payments.case_id
        assert symptom.best.component == "payments"
        assert symptom.best.category is Category.HANG


async def test_a_late_culprit_changes_the_diagnosis_and_its_end_changes_it_again(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform) as world:
        orders = incident("orders", "http-timeout")
        await world.says(orders)

        async def told(count: int) -> bool:
            return len(await world.diagnoses(orders.case_id)) >= count

        await eventually(lambda: told(1))
        payments = incident("payments", "process-exited")
        await world.says(payments)
        await eventually(lambda: told(2))
        await world.says(resolved(payments))
        await eventually(lambda: told(3))
        first, second, third = await world.diagnoses(orders.case_id)
        assert [d.revision for d in (first, second, third)] == [1, 2, 3]
        assert (first.symptom_of, second.symptom_of, third.symptom_of) == (None, payments.case_id, None)
        assert third.best.component == "orders"


async def test_a_change_told_late_alters_the_cause(platform: Platform, eventually: Eventually) -> None:
    async with running(platform) as world:
        errors = incident("payments", "error-ratio")
        await world.says(errors)

        async def best_is(category: Category) -> bool:
            told = await world.diagnoses()
            return bool(told) and told[-1].best.category is category

        await eventually(lambda: best_is(Category.UNKNOWN))
        changed_at = errors.opened_at - timedelta(seconds=4)
        await world.says(Change(at=changed_at, component="payments", kind=ChangeKind.CONFIG, summary="edited"))  # type: ignore[call-arg]
        await eventually(lambda: best_is(Category.CONFIGURATION))
        assert [d.revision for d in await world.diagnoses()] == [1, 2]


async def test_an_unchanged_diagnosis_is_never_told_again(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, review_s=0.05) as world:
        slow = incident("payments", "http-slow")
        await world.says(slow)

        async def told() -> bool:
            return bool(await world.diagnoses())

        await eventually(told)
        reply = await platform.connect_nats()
        for _ in range(3):
            answer = await reply.request("cmd.diagnoser.sweep", SweepRequest().model_dump_json().encode(), timeout=5)
            assert Swept.model_validate_json(answer.data).looked_at == 1
        await reply.close()
        assert len(await world.diagnoses()) == 1


async def test_old_news_and_resolved_incidents_are_not_diagnosed(platform: Platform, eventually: Eventually) -> None:
    async with running(platform) as world:
        gone = incident("payments", "http-timeout")
        await world.says(resolved(gone), gone)
        marker = incident("orders", "process-exited")
        await world.says(marker)

        async def told() -> bool:
            return bool(await world.diagnoses(marker.case_id))

        await eventually(told)
        assert await world.diagnoses(gone.case_id) == []


async def test_a_reopened_incident_is_diagnosed_anew(platform: Platform, eventually: Eventually) -> None:
    async with running(platform) as world:
        crashed = incident("payments", "process-exited")
        await world.says(crashed, resolved(crashed))
        again = crashed.model_copy(update={"id": uuid4(), "revision": 3, "transition": Transition.REOPENED})
        await world.says(again)

        async def twice() -> bool:
            return len(await world.diagnoses(crashed.case_id)) == 2

        await eventually(twice)


async def test_two_replicas_tell_each_diagnosis_once(platform: Platform, eventually: Eventually) -> None:
    async with running(platform) as world, running(platform):
        incidents = [incident(name, "http-timeout") for name in ("edge", "orders", "payments") for _ in range(5)]
        await world.says(*incidents)

        async def all_told() -> bool:
            return {d.case_id for d in await world.diagnoses()} == {i.case_id for i in incidents}

        await eventually(all_told)
        told = [(d.case_id, d.revision) for d in await world.diagnoses()]
        assert len(told) == len(set(told))
