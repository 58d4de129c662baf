"""Rows that steps change on a real PostgreSQL: only those that are kept, once, and back whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import asyncpg
import pytest
from pydantic import ValidationError

from services.healer.clients.base import ActuatorError
from services.healer.clients.job_actuators import ChangeJobs
from services.healer.clients.sql_actuator import ExecuteSql
from shared.packs.actions.calls import SqlStatement
from shared.packs.actions.databases import JobsCleanUp, JobsMarkIncomplete, JobsRequeue
from shared.packs.component import SecretRef
from tests.conftest import Platform
from tests.unit.healer.helpers import Drawer, context_of

type Connection = asyncpg.Connection[asyncpg.Record]
DSN = SecretRef(env="WEB_DSN")
TABLE = """
create type public.stage as enum ('queued', 'processing', 'failed', 'incomplete', 'done');
create table public.jobs (
  id bigint generated always as identity primary key, status public.stage not null, attempts int, ratio float8,
  amount numeric, note text, payload bytea, facts json, tags text[], touched_at timestamptz not null, due interval,
  doubled int generated always as (attempts * 2) stored
);
insert into public.jobs (status, attempts, ratio, amount, note, payload, facts, tags, touched_at, due)
select case n % 3 when 0 then 'processing' when 1 then 'failed' else 'done' end::public.stage, n, 1 / n::float8,
  case when n % 4 > 0 then n * 1.10 end,
  case n % 5 when 0 then null when 1 then '' when 2 then 'a"b,(c)\\' else 'ü' end,
  decode('00ff5c', 'hex'), '{"a" :  1}', array['x', 'null', null],
  now() - make_interval(days => n) - interval '1.234567 s', interval '1 mon 2 days 03:04:05.6'
from generate_series(1, 30) n;
"""


@pytest.fixture
async def database(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    monkeypatch.setenv("WEB_DSN", platform.dsn())
    connection = await platform.connect_postgres()
    # settings under which text of a row would lose something, were they kept
    await connection.execute(f"alter database {platform.database} set extra_float_digits = 0")
    await connection.execute(f"alter database {platform.database} set timezone = 'Asia/Kolkata'")
    await connection.execute(f"alter database {platform.database} set intervalstyle = 'iso_8601'")
    await connection.execute(TABLE)
    yield connection
    await connection.close()


@pytest.fixture
def drawer() -> Drawer:
    return Drawer()


async def whole(database: Connection) -> dict[int, str]:
    """All rows, exactly."""
    await database.execute("set extra_float_digits = 3; set timezone = 'UTC'; set intervalstyle = 'postgres'")
    return {row[0]: row[1] for row in await database.fetch("select id, j::text from public.jobs j order by id")}


def requeue(drawer: Drawer, **more: object) -> ChangeJobs:
    values = {"since": "touched_at", "older_than_s": 86_400 * 2, "attempts": "attempts", "max_attempts": 20} | more
    return ChangeJobs(context_of(drawer=drawer), JobsRequeue(dsn=DSN, table="public.jobs", **values))


def clean_up(drawer: Drawer, **more: object) -> ChangeJobs:
    action = JobsCleanUp(dsn=DSN, table="public.jobs", since="touched_at", **more)
    return ChangeJobs(context_of(drawer=drawer), action)


def mark_incomplete(drawer: Drawer) -> ChangeJobs:
    action = JobsMarkIncomplete(dsn=DSN, table="jobs", missing=("amount", "note"), since="touched_at", older_than_s=60)
    return ChangeJobs(context_of(drawer=drawer), action)


def execute(drawer: Drawer, statement: str, where: str, table: str = "public.jobs", max_rows: int = 100) -> ExecuteSql:
    backup = {"table": table, "where": where}
    action = SqlStatement.model_validate(
        {"dsn": {"env": "WEB_DSN"}, "statement": statement, "backup": backup, "max_rows": max_rows}
    )
    return ExecuteSql(context_of(drawer=drawer), action)


async def test_stuck_jobs_are_given_out_again_once_and_taken_back_whole(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = requeue(drawer)
    seen = await step.observe()
    assert seen == {"rows": 6}
    assert "processing for more than 172800 s to queued (6 in public.jobs" in step.describe(seen)
    assert (await step.apply(seen)).detail == "6 rows of public.jobs changed, 0 deleted"
    assert not (await step.apply(seen)).changed
    found = await database.fetch("select id, attempts from public.jobs where status = 'queued' order by id")
    assert [(row["id"], row["attempts"]) for row in found] == [(n, n + 1) for n in (3, 6, 9, 12, 15, 18)]
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert await whole(database) == before
    assert not (await step.undo(seen, seen, files_restored=False)).changed


async def test_jobs_that_failed_long_ago_are_deleted_and_come_back_whole(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = clean_up(drawer)
    await step.apply(await step.observe())
    gone = set(before) - set(await whole(database))
    assert gone == {n for n in range(1, 31) if n % 3 == 1 and n >= 7}
    await step.undo({}, {}, files_restored=False)
    assert await whole(database) == before


async def test_rows_that_lack_something_are_marked(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = mark_incomplete(drawer)
    await step.apply(await step.observe())
    marked = await database.fetch("select id from public.jobs where status = 'incomplete'")
    assert {row["id"] for row in marked} == {n for n in range(1, 31) if n % 4 == 0 or n % 5 == 0}
    await step.undo({}, {}, files_restored=False)
    assert await whole(database) == before


async def test_at_most_so_many_at_once_and_what_a_worker_holds_is_left_to_it(
    database: Connection, drawer: Drawer, platform: Platform
) -> None:
    worker = await platform.connect_postgres()
    async with worker.transaction():
        await worker.execute("select 1 from public.jobs where id = 3 for update")
        await requeue(drawer, max_rows=2).apply({})
    await worker.close()
    queued = await database.fetch("select id from public.jobs where status = 'queued' order by id")
    assert [row["id"] for row in queued] == [6, 9]


async def test_rows_that_somebody_else_changed_since_are_left_and_told(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = requeue(drawer)
    await step.apply({})
    await database.execute("update public.jobs set note = 'taken up' where id = 6")
    await database.execute("delete from public.jobs where id = 9")
    for _ in range(2):
        with pytest.raises(ActuatorError, match=r"2 rows of public\.jobs were changed by somebody else"):
            await step.undo({}, {}, files_restored=False)
    now = await whole(database)
    assert 9 not in now
    assert [number for number in now if now[number] != before[number]] == [6]


class KilledError(Exception):
    pass


async def test_killed_before_the_commit_nothing_has_happened_and_a_repetition_does_it(
    database: Connection, drawer: Drawer
) -> None:
    before = await whole(database)

    async def keep_and_die(content: bytes) -> None:
        await drawer.keep(content)
        raise KilledError

    step = clean_up(drawer)
    with pytest.raises(KilledError):
        await replace(step, context=replace(step.context, keep=keep_and_die)).apply({})
    assert await whole(database) == before
    assert "not executed" in (await step.undo({}, {}, files_restored=False)).detail
    await database.execute("update public.jobs set note = 'meanwhile' where id = 7")
    before = await whole(database)
    assert (await step.apply({})).changed
    await step.undo({}, {}, files_restored=False)
    assert await whole(database) == before


async def test_a_statement_with_a_backup_is_put_back_by_primary_key(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = execute(drawer, "update jobs set note = 'x', attempts = attempts * 2 where status = 'failed'", "t.id > 0")
    seen = await step.observe()
    assert "(30 rows of public.jobs kept before)" in step.describe(seen)
    assert (await step.apply(seen)).detail == "10 rows of public.jobs changed, 0 deleted"
    await step.undo(seen, await step.observe(), files_restored=False)
    assert await whole(database) == before


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update jobs set note = 'x'", "only 10 and 0 are kept"),
        ("delete from jobs", "only 0 and 10 are kept"),
        ("insert into jobs (status, touched_at) values ('failed', now())", "not INSERT"),
        ("truncate jobs", "not TRUNCATE"),
        ("update jobs set note = 'x' where status = 'failed'; delete from jobs", "multiple commands"),
        ("with d as (delete from jobs where status = 'done') update jobs set note = '' where id = 1", "are kept"),
        ("with d as (delete from other) update jobs set note = 'x' where status = 'failed'", r"public\.other|other"),
    ],
)
async def test_a_statement_that_changes_other_rows_than_are_kept_is_undone_at_once(
    database: Connection, drawer: Drawer, statement: str, problem: str
) -> None:
    await database.execute("create table public.other as select 1 as n")
    before = await whole(database)
    with pytest.raises(ActuatorError, match=problem):
        await execute(drawer, statement, "status = 'failed'").apply({})
    assert await whole(database) == before
    assert await database.fetchval("select count(*) from public.other") == 1
    assert drawer.content is None


async def test_a_cascade_to_a_table_that_is_not_kept_is_refused(database: Connection, drawer: Drawer) -> None:
    await database.execute("create table public.logs (job bigint references public.jobs on delete cascade)")
    await database.execute("insert into public.logs select id from public.jobs")
    before = await whole(database)
    with pytest.raises(ActuatorError, match="logs, which are not kept"):
        await clean_up(drawer).apply({})
    assert await whole(database) == before


async def test_a_trigger_that_bends_what_is_put_back_is_told_and_nothing_is_put_back(
    database: Connection, drawer: Drawer
) -> None:
    step = requeue(drawer)
    await step.apply({})
    after = await whole(database)
    await database.execute(
        "create function public.bend() returns trigger language plpgsql as "
        "$$ begin new.note = 'bent'; return new; end $$;"
        "create trigger bend before update on public.jobs for each row execute function public.bend()"
    )
    with pytest.raises(ActuatorError, match="a trigger changes them"):
        await step.undo({}, {}, files_restored=False)
    assert await whole(database) == after


async def test_more_rows_than_allowed_fail_the_plan_and_change_nothing(database: Connection, drawer: Drawer) -> None:
    before = await whole(database)
    step = execute(drawer, "delete from jobs where status = 'failed'", "status = 'failed'", max_rows=9)
    for refused in (step.observe(), step.apply({})):
        with pytest.raises(ActuatorError, match="max_rows = 9"):
            await refused
    assert await whole(database) == before


async def test_rows_that_could_not_be_told_apart_or_hold_other_columns_now_are_refused(
    database: Connection, drawer: Drawer
) -> None:
    await database.execute("create table public.bare (status text)")
    with pytest.raises(ActuatorError, match="no primary key"):
        await execute(drawer, "delete from bare", "true", table="public.bare").observe()
    with pytest.raises(ActuatorError, match=r"no table public\.nothing"):
        await execute(drawer, "delete from bare", "true", table="public.nothing").observe()
    step = clean_up(drawer)
    await step.apply({})
    await database.execute("alter table public.jobs add column extra int")
    with pytest.raises(ActuatorError, match=r"columns of public\.jobs have changed"):
        await step.undo({}, {}, files_restored=False)


async def test_errors_quote_no_rows_and_no_address(
    database: Connection, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.execute("alter table public.jobs add constraint c check (note is distinct from 'canary-x')")
    with pytest.raises(ActuatorError) as refused:
        await execute(drawer, "update jobs set note = 'canary-' || 'x' where id = 2", "id = 2").apply({})
    assert "canary-x" not in str(refused.value)
    monkeypatch.setenv("WEB_DSN", "canary-hunter2://somewhere")
    with pytest.raises(ActuatorError, match="WEB_DSN") as refused:
        await clean_up(drawer).observe()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("table", ["jobs; drop table jobs", 'a"b', "a.b.c", ""])
def test_a_table_is_a_name(table: str) -> None:
    with pytest.raises(ValidationError):
        JobsCleanUp(dsn=DSN, table=table, since="touched_at")


async def test_an_undone_run_is_another_thing_than_the_next_one(
    database: Connection, eventually: Callable[..., object]
) -> None:
    first, second = Drawer(), Drawer()
    step, again = clean_up(first), clean_up(second)
    again = replace(again, context=replace(again.context, key="run/1"))
    await step.apply({})
    await step.undo({}, {}, files_restored=False)
    assert (await again.apply({})).changed
    assert not (await step.undo({}, {}, files_restored=False)).changed
    assert (await again.undo({}, {}, files_restored=False)).changed
