"""SIGKILL while rows and keys are kept or changed: a successor goes on, and each is changed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from shared.contracts.healer import Result
from tests.conftest import Platform
from tests.integration.healer.story import Listener, World, decision, incident, playbook
from tests.integration.healer.test_healer_killed import killed_and_continued
from tests.integration.test_detector_probes_stores import redis_server

JOBS = {"dsn": {"env": "WEB_DSN"}, "table": "public.jobs", "since": "touched_at"}
REQUEUE = {"jobs.requeue": {**JOBS, "older_than_s": 60, "attempts": "attempts"}}
CLEAN_UP = {"jobs.clean_up": {**JOBS, "older_than_days": 1}}
UNDOING = ["rows put back", "keys put back"]
DOING = ["copy kept", "rows committed", "before act 1", "keys deleted"]

pytestmark = pytest.mark.slow


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    with redis_server(tmp_path / "redis") as (port, _):
        client = Redis.from_url(f"redis://127.0.0.1:{port}/0")
        for number in range(50):
            await client.set(f"catalog:{number}", f"value {number}", pxat=4_102_444_800_000 + number)
        yield client
        await client.aclose()


async def keys(redis: Redis) -> dict[bytes, tuple[bytes, int]]:
    return {key: (await redis.get(key), await redis.pexpiretime(key)) for key in await redis.keys("catalog:*")}


def invalidate(redis: Redis) -> dict[str, object]:
    port = redis.connection_pool.connection_kwargs["port"]
    return {"redis.invalidate": {"url": f"redis://127.0.0.1:{port}/0", "pattern": "catalog:*"}}


async def make_jobs(platform: Platform) -> None:
    connection = await platform.connect_postgres()
    await connection.execute(
        "create table public.jobs (id int primary key, status text, attempts int, touched_at timestamptz)"
    )
    await connection.execute(
        "insert into public.jobs select n, case when n % 2 = 0 then 'processing' else 'failed' end, n, "
        "now() - interval '2 days' from generate_series(1, 20) n"
    )
    await connection.close()


async def jobs(platform: Platform) -> list[tuple[int, str, int]]:
    connection = await platform.connect_postgres()
    rows = await connection.fetch("select id, status, attempts from public.jobs order by id")
    await connection.close()
    return [(row["id"], row["status"], row["attempts"]) for row in rows]


@pytest.mark.parametrize("doom", DOING)
async def test_rows_and_keys_are_changed_once_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, redis: Redis, doom: str
) -> None:
    await make_jobs(platform)
    order = decision(world, playbook(REQUEUE, CLEAN_UP, invalidate(redis)))
    outcome = await killed_and_continued(platform, listener, order, doom)
    assert outcome.result is Result.SUCCEEDED, outcome.reason
    assert await jobs(platform) == [(n, "queued", n + 1) for n in range(2, 21, 2)]
    assert await keys(redis) == {}


@pytest.mark.parametrize("doom", UNDOING)
async def test_rows_and_keys_are_put_back_once_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, redis: Redis, doom: str
) -> None:
    await make_jobs(platform)
    rows_before, keys_before = await jobs(platform), await keys(redis)
    case = uuid4()
    await listener.publish(incident(case, world.name))
    spec = playbook(REQUEUE, CLEAN_UP, invalidate(redis), validate={"window_s": 0.4, "clear": "incident"})
    order = decision(world, spec, case_id=case)
    outcome = await killed_and_continued(platform, listener, order, doom, still_bad=True)
    assert outcome.result is Result.ROLLED_BACK, outcome.reason
    assert await jobs(platform) == rows_before
    assert await keys(redis) == keys_before
