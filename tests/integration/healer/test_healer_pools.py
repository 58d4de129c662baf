"""Connections of a real PostgreSQL: ended where they idle, limited, and never our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from services.healer.clients.base import ActuatorError, IrreversibleError
from services.healer.clients.pool_actuators import EndIdleConnections, SetConnectionLimit
from shared.packs.actions.databases import ConnectionLimit, TerminateIdle
from shared.packs.component import SecretRef
from tests.conftest import Platform
from tests.unit.healer.helpers import context_of

type Connection = asyncpg.Connection[asyncpg.Record]
type Eventually = Callable[..., Awaitable[None]]
DSN = SecretRef(env="WEB_DSN")


@pytest.fixture
async def opened(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[Connection]]]:
    """Opens connections of an application, all gone after the test."""
    monkeypatch.setenv("WEB_DSN", platform.dsn())
    made: list[Connection] = []

    async def connect(name: str = "shop", **settings: str) -> Connection:
        connection = await asyncpg.connect(platform.dsn(), server_settings={"application_name": name, **settings})
        await connection.execute("select 1")
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.terminate()


def end_idle(**more: object) -> EndIdleConnections:
    values = {"older_than_s": 1, "application_name": None} | more
    return EndIdleConnections(context_of(), TerminateIdle(dsn=DSN, **values))


async def idle_for_a_second(eventually: Eventually, step: EndIdleConnections, count: int) -> None:
    async def seen() -> bool:
        return (await step.observe())["count"] == count

    await eventually(seen)


async def works(connection: Connection) -> bool:
    try:
        await connection.execute("select 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return False
    return True


async def test_idle_connections_are_ended_and_busy_and_own_ones_never(
    platform: Platform, opened: Callable[..., Awaitable[Connection]], eventually: Eventually
) -> None:
    idle, hanging, busy = await opened(), await opened(), await opened()
    own = await opened("homeostat-healer-slot")
    await hanging.execute("begin; select 1")
    async with AsyncExitStack() as stack:
        watcher = await platform.connect_postgres()
        stack.push_async_callback(watcher.close)
        step = end_idle(application_name="shop")
        await idle_for_a_second(eventually, step, 3)
        await busy.execute("select 1")  # so it isn't idle for a second any more
        seen = await step.observe()
        assert "end 2 connections idle for more than 1 s" in step.describe(seen)
        assert (await step.apply(seen)).detail == "ended 2 of 2 idle connections"
        assert not (await step.apply(seen)).changed
        assert [await works(each) for each in (idle, hanging, busy, own)] == [False, False, True, True]
        assert (await end_idle().observe())["count"] in (0, 1), "the watcher at most: never what calls itself ours"
    with pytest.raises(IrreversibleError, match="pool opens a new one"):
        await step.undo(seen, seen, files_restored=False)
    assert not (await step.undo({"count": 0, "connections": "[]"}, {}, files_restored=False)).changed


async def test_at_most_so_many_the_longest_idle_first_and_what_woke_up_is_left(
    opened: Callable[..., Awaitable[Connection]], eventually: Eventually
) -> None:
    connections = [await opened() for _ in range(4)]
    step = end_idle(max_connections=3, application_name="shop", states=("idle",))
    await idle_for_a_second(eventually, step, 3)
    seen = await step.observe()
    await connections[0].execute("begin")
    assert (await step.apply(seen)).detail == "ended 2 of 3 idle connections"
    assert [await works(each) for each in connections] == [True, False, False, True]


async def test_a_limit_is_set_and_put_back(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_DSN", platform.dsn())
    connection = await platform.connect_postgres()
    query = "select datconnlimit from pg_database where datname = current_database()"
    step = SetConnectionLimit(context_of(), ConnectionLimit(dsn=DSN, database=platform.database, limit=40))
    seen = await step.observe()
    assert "from -1 to 40" in step.describe(seen)
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    assert await connection.fetchval(query) == 40
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert await connection.fetchval(query) == -1
    assert not (await step.undo(seen, seen, files_restored=False)).changed
    await step.apply(seen)
    await connection.execute(f"alter database {platform.database} connection limit 50")
    with pytest.raises(ActuatorError, match=r"somebody else has set .* to 50"):
        await step.undo(seen, await step.observe(), files_restored=False)
    await connection.close()


async def test_the_limit_of_a_role(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_DSN", platform.dsn())
    connection = await platform.connect_postgres()
    role = f'{platform.database}_"app'
    quoted = role.replace('"', '""')
    await connection.execute(f'create role "{quoted}" connection limit 5')
    try:
        step = SetConnectionLimit(context_of(), ConnectionLimit(dsn=DSN, role=role, limit=9))
        await step.apply(await step.observe())
        assert await connection.fetchval("select rolconnlimit from pg_roles where rolname = $1", role) == 9
    finally:
        await connection.execute(f'drop role "{quoted}"')
        await connection.close()
    with pytest.raises(ActuatorError, match="no role"):
        await step.observe()
