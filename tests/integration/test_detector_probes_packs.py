"""Probes as packs bring and remove them: the example's statements on real tables; incidents end with their probe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.detector.app import build
from services.detector.settings import Settings
from shared.contracts.detector import Incident
from shared.contracts.gateway import PackApplied
from shared.contracts.ingest import CheckResult
from shared.packs.load import load_pack
from shared.packs.model import Pack
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.detector_probing import Heard, running

Eventually = Callable[..., Awaitable[None]]
PACKS = Path(__file__).parents[2] / "packs"

TABLES = """
create table accounts (id int primary key);
create table work_items (id serial primary key, account_id int, status text, external_id text, last_error text,
                         started_at timestamptz, finished_at timestamptz);
create table semaphores (name text, held_by text, taken_at timestamptz);
create table invoices (id serial, account_id int, status text, due_at timestamptz);
insert into accounts values (1);
insert into work_items (account_id, status, external_id, last_error, started_at, finished_at) values
  (1, 'posting', null, null, now() - interval '31 minutes', null),
  (1, 'posting', null, null, now() - interval '1 minute', null),
  (1, 'posted', null, null, now() - interval '2 minutes', now() - interval '1 minute'),
  (1, 'posted', 'x', null, now() - interval '20 minutes', now() - interval '10 minutes'),
  (2, 'posted', 'y', null, now() - interval '2 minutes', now() - interval '1 minute'),
  (1, 'failed', null, '429 Too Many Requests', now() - interval '2 minutes', now() - interval '1 minute'),
  (1, 'queued', null, null, null, null);
insert into semaphores values ('browser', 'w1', now() - interval '11 minutes'), ('other', null, null);
insert into invoices (account_id, status, due_at) values (1, 'open', now() - interval '4 days');
"""


async def test_the_example_pack_counts_what_is_wrong_with_jobs(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await platform.connect_postgres()
    await connection.execute(TABLES)
    await connection.close()
    monkeypatch.setenv("SAAS_DSN", platform.dsn())
    heard = Heard()
    probes = [probe.model_dump(exclude_none=True) for probe in load_pack(PACKS / "saas.yaml").probes]
    async with running(heard, *probes) as runner:
        assert await runner.sweep() == len(probes)
    found = {each.name: each.value for each in heard.all_samples if not each.labels}
    expected = {
        "jobs_stuck": 1,
        "jobs_without_external_id": 1,
        "jobs_slow": 2,
        "jobs_last_hour_finished": 4,
        "jobs_last_hour_failed": 1,
        "jobs_last_hour_failed_ratio": 0.25,
        "jobs_rate_limited": 1,
        "semaphores_held_too_long": 1,
        "jobs_orphaned": 1,
        "invoices_overdue": 1,
    }
    assert {name: found[name] for name in expected} == expected
    waiting = {each.labels["status"]: each.value for each in heard.all_samples if each.name == "jobs_waiting"}
    assert waiting == {"queued": 1, "posting": 2}
    failed = {check.probe for check in heard.checks if check.result is CheckResult.ERROR}
    assert failed == {"jobs/sql/jobs_stuck", "jobs/sql/jobs_without_external_id", "jobs/sql/semaphores_held_too_long"}


# ---- removal


@asynccontextmanager
async def detector(platform: Platform) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def apply(client: Client, version: int, body: dict[str, object] | None) -> None:
    pack = Pack.model_validate({"pack": "shop"} | body) if body is not None else None
    event = PackApplied(
        at=datetime.now(UTC),
        pack="shop",
        version=version,
        applied_by="test",
        body=pack.model_dump(mode="json", by_alias=True) if pack is not None else None,
    )
    await client.jetstream().publish(event.subject, event.model_dump_json().encode())


CLOSED: dict[str, object] = {"component": "web", "every_s": 0.2, "tcp": {"port": 1}}
OTHER: dict[str, object] = {"component": "db", "every_s": 0.2, "tcp": {"port": 1}}
COMPONENTS: dict[str, object] = {"web": {}, "db": {}}


@pytest.mark.parametrize("restarted", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_an_incident_ends_soon_after_its_probe_was_removed(
    restarted: bool, platform: Platform, eventually: Eventually
) -> None:
    client, told = await platform.connect_nats(), []

    async def hear(message: object) -> None:
        incident = Incident.model_validate_json(message.data)  # type: ignore[attr-defined]
        told.append((incident.component, incident.transition.value))

    await client.subscribe("detector.incident.v1.*", cb=hear)
    without = {"components": COMPONENTS, "probes": [OTHER]}
    async with detector(platform):
        await apply(client, 1, {"components": COMPONENTS, "probes": [CLOSED, OTHER]})
        await eventually(lambda: {("web", "opened"), ("db", "opened")} <= set(told))
        if not restarted:
            await apply(client, 2, without)
            await eventually(lambda: ("web", "resolved") in told, within_s=10)
            assert ("db", "resolved") not in told
    if restarted:  # removed while no detector was there to see it
        await apply(client, 2, without)
        async with detector(platform):
            await eventually(lambda: ("web", "resolved") in told, within_s=15)
            assert ("db", "resolved") not in told
    await client.close()


async def test_incidents_end_with_the_whole_pack_too_and_those_of_others_do_not(
    platform: Platform, eventually: Eventually
) -> None:
    client, told = await platform.connect_nats(), []

    async def hear(message: object) -> None:
        incident = Incident.model_validate_json(message.data)  # type: ignore[attr-defined]
        told.append((incident.component, incident.transition.value))

    await client.subscribe("detector.incident.v1.*", cb=hear)
    async with detector(platform):
        await apply(client, 1, {"components": COMPONENTS, "probes": [CLOSED]})
        for _ in range(2):
            await client.jetstream().publish("ingest.checks.v1.db", b'{"probe": "theirs", "result": "refused"}')
        await eventually(lambda: {("web", "opened"), ("db", "opened")} <= set(told))
        await apply(client, 2, None)
        await eventually(lambda: ("web", "resolved") in told, within_s=10)
        assert ("db", "resolved") not in told
    await client.close()
