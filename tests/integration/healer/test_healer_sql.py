"""sql.execute against a real database: once, bounded, and nothing left of what failed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.healer.clients.base import ActuatorError, IrreversibleError
from services.healer.clients.sql_actuator import ExecuteSql
from shared.packs.actions.calls import SqlStatement
from shared.packs.component import SecretRef
from tests.conftest import Platform
from tests.unit.healer.helpers import context_of


@pytest.fixture
async def database(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    monkeypatch.setenv("WEB_DSN", platform.dsn())
    connection = await platform.connect_postgres()
    await connection.execute("create table public.posts (id int, status text)")
    await connection.execute("insert into public.posts select n, 'stuck' from generate_series(1, 10) n")
    yield connection
    await connection.close()


def execute(statement: str, key: str = "run/0", **more: int) -> ExecuteSql:
    return ExecuteSql(context_of(key=key), SqlStatement(dsn=SecretRef(env="WEB_DSN"), statement=statement, **more))


async def stuck(database: asyncpg.Connection[asyncpg.Record]) -> int:
    return int(await database.fetchval("select count(*) from public.posts where status = 'stuck'"))


async def test_a_repeated_statement_is_executed_once_and_another_run_is_another_time(
    database: asyncpg.Connection[asyncpg.Record],
) -> None:
    await database.execute("create table public.counter as select 0 as hits")
    hit = "update public.counter set hits = hits + 1"
    assert (await execute(hit).apply({})).changed
    assert not (await execute(hit).apply({})).changed
    assert (await execute(hit, key="other/0").apply({})).changed
    assert await database.fetchval("select hits from public.counter") == 2


async def test_more_rows_than_allowed_are_undone(database: asyncpg.Connection[asyncpg.Record]) -> None:
    step = execute("update public.posts set status = 'queued'", max_rows=9)
    with pytest.raises(ActuatorError, match="max_rows = 9"):
        await step.apply({})
    assert await stuck(database) == 10
    assert not (await step.undo({}, {}, files_restored=False)).changed


async def test_a_statement_within_its_bound_says_how_many_rows(database: asyncpg.Connection[asyncpg.Record]) -> None:
    step = execute("update public.posts set status = 'queued' where id <= 4", max_rows=4)
    assert "4 rows" in (await step.apply({})).detail
    assert await stuck(database) == 6
    with pytest.raises(IrreversibleError):
        await step.undo({}, {}, files_restored=False)


async def test_errors_name_the_secret_and_never_show_it(
    database: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch, platform: Platform
) -> None:
    with pytest.raises(ActuatorError, match="nonsense"):
        await execute("nonsense").apply({})
    monkeypatch.setenv("WEB_DSN", platform.dsn().replace("127.0.0.1", "127.0.0.2"))
    with pytest.raises(ActuatorError, match="WEB_DSN") as refused:
        await execute("select 1").apply({})
    assert platform.role_password("postgres") not in str(refused.value)
    monkeypatch.delenv("WEB_DSN")
    with pytest.raises(ActuatorError, match="WEB_DSN is not set"):
        await execute("select 1").observe()
