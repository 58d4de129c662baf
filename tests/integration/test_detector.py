"""The detector as a whole, on real NATS and PostgreSQL: from what others publish to incidents and health."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from services.detector.app import build
from services.detector.domain.signals import HealthChanged
from services.detector.domain.signals import HealthStatus as Status
from services.detector.settings import Settings
from services.detector.store import Base
from shared.contracts.base import CaseKind
from shared.contracts.detector import Health, HealthStatus, Incident, Swept
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import Phase, RunProgress
from shared.contracts.ingest import Change, ExternalIncident
from shared.db import schema_differences
from shared.packs.model import Pack
from shared.runtime import Service
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]


class Outside:
    """Another system: a plain NATS client that hears incidents and publishes JSON by hand."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.incidents: list[Incident] = []
        self.heard_at: list[float] = []
        self.changes: list[Change] = []
        self.health: dict[str, Health] = {}

    async def listen(self) -> None:
        await self.client.subscribe("detector.incident.v1.*", cb=self._incident)
        await self.client.subscribe("state.detector.health.v1.*", cb=self._health)
        await self.client.subscribe("ingest.changes.v1.*", cb=self._change)
        await self.client.flush()

    async def _incident(self, message: Msg) -> None:
        self.incidents.append(Incident.model_validate_json(message.data))
        self.heard_at.append(time.monotonic())

    async def _health(self, message: Msg) -> None:
        health = Health.model_validate_json(message.data)
        self.health[health.component] = health

    async def _change(self, message: Msg) -> None:
        self.changes.append(Change.model_validate_json(message.data))

    async def publish(self, subject: str, component: str, /, **body: object) -> None:
        await self.client.jetstream().publish(f"ingest.{subject}.v1.{component}", json.dumps(body).encode())

    async def apply(self, version: int = 1, **sections: object) -> None:
        pack = Pack.model_validate({"pack": "shop", "components": {"web": {}, "db": {}}} | sections)
        event = PackApplied(
            at=datetime.now(UTC),
            pack="shop",
            version=version,
            applied_by="test",
            body=pack.model_dump(mode="json", by_alias=True),
        )
        await self.client.jetstream().publish(event.subject, event.model_dump_json().encode())

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(each.component, each.pattern, each.transition.value) for each in self.incidents]


@asynccontextmanager
async def detector(platform: Platform) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
async def outside(platform: Platform) -> AsyncIterator[Outside]:
    client = await platform.connect_nats()
    other = Outside(client)
    await other.listen()
    yield other
    await client.close()


@pytest.fixture
def sleeper() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


async def test_the_migrated_schema_is_that_of_the_models(platform: Platform) -> None:
    def differences() -> list[object]:
        url = platform.dsn("detector").replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            return schema_differences(Base.metadata, connection)

    assert await asyncio.to_thread(differences) == []


async def test_every_change_of_health_in_a_backlog_is_told(platform: Platform) -> None:
    """Whoever judges a repair must know which errors happened before it, also when it hears of them late."""
    service = build(platform.settings(Settings))
    changes = [HealthChanged("web", Status.HEALTHY, 0.0, count, (), at=float(count)) for count in (1, 2, 3)]
    async with service.units.begin() as unit:
        await service.consumers[0].commit(unit, changes)
        assert [message.subject for message in unit.sent] == ["state.detector.health.v1.web"] * 3
    await service.engine.dispose()


async def test_what_others_publish_by_hand_becomes_incidents_rows_and_health(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    async with detector(platform):
        await outside.publish("checks", "web", probe="p", result="refused")
        await outside.publish("checks", "web", probe="p", result="refused")
        await outside.publish("metrics", "host-1", samples=[{"name": "host_disk_percent", "value": 97}])
        await outside.publish("logs", "db", lines=[{"message": "OperationalError: gone", "level": "error"}] * 5)
        await eventually(lambda: len(outside.incidents) >= 3)
        assert set(outside.told) >= {
            ("web", "custom-refused", "opened"),
            ("host-1", "disk-high", "opened"),
            ("db", "log:database_error", "opened"),
        }
        await eventually(lambda: len(outside.health) == 3)
        assert {each.status for each in outside.health.values()} == {HealthStatus.CRITICAL}
        assert outside.health["web"].error_count == 2
        for _ in range(2):
            await outside.publish("checks", "web", probe="p", result="ok")
        await eventually(lambda: outside.health["web"].status is HealthStatus.HEALTHY)
    connection = await platform.connect_postgres("detector")
    rows = await connection.fetch("select component, status, incident_type, detection_method, evidence from incidents")
    await connection.close()
    found = {row["component"]: (row["status"], row["incident_type"], row["detection_method"]) for row in rows}
    assert found == {
        "web": ("resolved", "custom-refused", "probe"),
        "host-1": ("open", "disk-high", "threshold"),
        "db": ("open", "log:database_error", "log-pattern"),
    }


async def test_a_crash_is_an_incident_within_a_moment_and_over_when_the_process_is_back(
    platform: Platform,
    outside: Outside,
    eventually: Eventually,
    sleeper: Callable[[], subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "web.pid"
    first = sleeper()
    pid_file.write_text(str(first.pid))
    probe = {"component": "web", "every_s": 0.5, "process": {"pid_file": str(pid_file)}}
    async with detector(platform):
        await outside.apply(probes=[probe])
        await eventually(lambda: "web" in outside.health)
        killed_at = time.monotonic()
        first.kill()
        await eventually(lambda: outside.incidents, every_s=0.002)
        took_ms = 1000 * (outside.heard_at[0] - killed_at)
        assert outside.told[0] == ("web", "process-exited", "opened")
        assert took_ms < 1_000, f"{took_ms:.0f} ms from the kill to the incident"
        second = sleeper()
        pid_file.write_text(str(second.pid))
        await eventually(lambda: outside.told[-1][2] == "resolved")
        print(f"crash to incident: {took_ms:.1f} ms")


async def test_a_restart_of_the_detector_repeats_and_forgets_nothing(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    firing = {"source": "alerts", "external_id": "a-1", "summary": "it burns"}
    async with detector(platform):
        await outside.publish("incidents", "web", **firing)
        await eventually(lambda: outside.told == [("web", "external", "opened")])
    await outside.publish("incidents", "web", **firing, status="resolved")
    async with detector(platform):
        await eventually(lambda: len(outside.told) == 2)
    assert outside.told[-1] == ("web", "external", "resolved")
    assert {each.case_id for each in outside.incidents} == {outside.incidents[0].case_id}


async def test_a_pack_changes_the_rules_without_a_restart(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    async with detector(platform) as service:
        await outside.publish("metrics", "web", samples=[{"name": "jobs", "value": 50}])
        await outside.apply(rules=[{"component": "web", "metric": "jobs", "above": 10}])
        await eventually(lambda: "shop" in service.packs.packs)
        await outside.publish("metrics", "web", samples=[{"name": "jobs", "value": 50}])
        await eventually(lambda: outside.told == [("web", "jobs-high", "opened")])
        await outside.apply(version=2, rules=[{"component": "web", "metric": "jobs", "above": 100}])
        await eventually(lambda: service.packs.packs["shop"].version == 2)
        await outside.publish("metrics", "web", samples=[{"name": "jobs", "value": 99}])
        await outside.publish("metrics", "db", samples=[{"name": "host_memory_percent", "value": 99}])
        await eventually(lambda: ("db", "memory-high", "opened") in outside.told)
        assert len([told for told in outside.told if told[0] == "web"]) == 1


async def test_while_a_repair_is_under_way_an_exit_is_not_taken_for_a_crash(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    case_id: UUID = uuid4()
    progress = RunProgress(
        at=datetime.now(UTC),
        component="web",
        case_id=case_id,
        case_kind=CaseKind.PREDICTION,
        decision_id=uuid4(),
        playbook="restart",
        phase=Phase.PLANNED,
    )
    async with detector(platform):
        await outside.client.jetstream().publish(progress.subject, progress.model_dump_json().encode())
        await eventually(lambda: outside.changes)
        await outside.publish("checks", "web", probe="p", kind="process", result="exited")
        await outside.publish("checks", "web", probe="p", kind="process", result="ok")
        await outside.publish("checks", "db", probe="p", kind="process", result="exited")
        await eventually(lambda: outside.told)
        assert outside.told == [("db", "process-exited", "opened")]


async def test_a_sweep_looks_at_everything_now(
    platform: Platform, outside: Outside, eventually: Eventually, tmp_path: Path
) -> None:
    async with detector(platform) as service:
        probe = {"component": "web", "every_s": 3_600, "process": {"pid_file": str(tmp_path / "none.pid")}}
        await outside.apply(probes=[probe])
        await eventually(lambda: "web" in outside.health)
        answer = await outside.client.request("cmd.detector.sweep", b"{}", timeout=5)
        swept = Swept.model_validate_json(answer.data)
        assert (swept.service, swept.looked_at) == ("detector", 1)
        await eventually(lambda: outside.told == [("web", "process-error", "opened")])
        assert service.bus.connected


async def test_ten_thousand_repeats_of_one_alert_are_one_incident(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    body = ExternalIncident(
        at=datetime.now(UTC), component="web", source="alerts", external_id="storm", summary="it burns"
    )
    async with detector(platform):
        for _ in range(10_000):
            await outside.client.publish(
                body.subject, body.model_copy(update={"id": uuid4()}).model_dump_json().encode()
            )
        await eventually(lambda: outside.incidents and outside.incidents[-1].occurrences >= 8_192, within_s=30)
    assert len({each.case_id for each in outside.incidents}) == 1
    assert len(outside.incidents) <= 20
