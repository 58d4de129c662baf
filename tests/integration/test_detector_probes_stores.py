"""Probes of stores against the real ones: a redis-server of the test's own, and the tests' PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from shared.contracts.ingest import CheckKind, CheckResult
from tests.conftest import Platform
from tests.integration.detector_probing import Eventually, Heard, running

# ---- Redis

Process = subprocess.Popen[bytes]
REMEDY = "redis-server is not installed: apt-get install -y --no-install-recommends redis-server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[tuple[int, Process]]:
    """Port and process of a server of this test's own, gone with it."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(REMEDY)
        pytest.skip(REMEDY)
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "redis-server did not start"
            time.sleep(0.02)
        yield port, process
    finally:
        process.kill()
        process.wait()


async def test_a_redis_and_its_end(tmp_path: Path, eventually: Eventually) -> None:
    heard = Heard()
    with redis_server(tmp_path, "--maxmemory", "100mb") as (port, process):
        async with running(heard, {"redis": {"url": f"redis://127.0.0.1:{port}/0"}}):
            await eventually(lambda: "redis_memory_ratio" in heard.samples)
            assert heard.results[0] is CheckResult.OK
            assert heard.checks[0].kind is CheckKind.REDIS
            assert 0 < heard.samples["redis_memory_ratio"] < 1
            assert heard.samples["redis_connected"] == 1
            assert heard.samples["redis_latency_ms"] > 0
            assert heard.samples["redis_blocked_clients"] == 0
            assert heard.samples["redis_evicted_keys_total"] == 0
            process.terminate()
            await eventually(lambda: heard.results[-1] is CheckResult.REFUSED)
            await eventually(lambda: heard.samples["redis_connected"] == 0)


async def test_a_redis_with_a_password_never_says_it(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path, "--requirepass", "hunter2") as (port, _):
        for password, result in (("hunter2", CheckResult.OK), ("wr0ngsecret", CheckResult.ERROR)):
            heard = Heard()
            monkeypatch.setenv("TEST_REDIS", f"redis://:{password}@127.0.0.1:{port}/0")
            async with running(heard, {"redis": {"url": {"env": "TEST_REDIS"}}}):
                await eventually(lambda heard=heard: heard.checks)
            assert heard.results[0] is result, heard.checks[0].detail
            assert password not in " ".join(event.model_dump_json() for event in heard.events)
        heard = Heard()
        monkeypatch.setenv("TEST_REDIS", "hunter2 is no address")
        async with running(heard, {"redis": {"url": {"env": "TEST_REDIS"}}}):
            await eventually(lambda: heard.checks)
        assert heard.results[0] is CheckResult.ERROR
        assert "hunter2" not in heard.checks[0].detail


async def test_a_user_who_may_only_ping_still_sees_that_it_answers(tmp_path: Path, eventually: Eventually) -> None:
    heard = Heard()
    with redis_server(tmp_path, "--user", *["default", "on", "nopass", "~*", "-@all", "+ping", "+client"]) as (port, _):
        async with running(heard, {"redis": {"url": f"redis://127.0.0.1:{port}/0"}}):
            await eventually(lambda: heard.samples)
    assert heard.results[0] is CheckResult.OK, heard.checks[0].detail
    assert set(heard.samples) == {"redis_connected", "redis_latency_ms"}


@pytest.mark.slow
async def test_a_replica_that_loses_its_primary(tmp_path: Path, eventually: Eventually) -> None:
    heard = Heard()
    with (
        redis_server(tmp_path / "a") as (primary, process),
        redis_server(tmp_path / "b", "--replicaof", "127.0.0.1", str(primary)) as (replica, _),
    ):
        async with running(heard, {"redis": {"url": f"redis://127.0.0.1:{replica}/0"}}):
            await eventually(lambda: heard.samples.get("redis_replication_link_up") == 1, within_s=20)
            assert heard.results[-1] is CheckResult.OK
            process.terminate()
            await eventually(lambda: heard.samples["redis_replication_link_up"] == 0, within_s=20)
            assert heard.results[-1] is CheckResult.ERROR
            assert "replication link" in heard.checks[-1].detail


async def test_a_redis_that_never_answers_is_given_up(eventually: Eventually) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server, heard = await asyncio.start_server(silent, "127.0.0.1", 0), Heard()
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    async with running(heard, {"redis": {"url": url}, "timeout_ms": 200}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is CheckResult.TIMEOUT
    server.close()


# ---- PostgreSQL


@pytest.fixture
def dsn(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> str:
    address = platform.dsn().replace("+psycopg", "")
    monkeypatch.setenv("TEST_DSN", address)
    return address


async def test_a_database_in_trouble(dsn: str, eventually: Eventually) -> None:
    heard = Heard()
    idle, holder, waiter = [await asyncpg.connect(dsn) for _ in range(3)]
    try:
        await holder.execute("create table t (a int); insert into t values (1)")
        await idle.execute("begin; select 1")
        await holder.execute("begin; update t set a = 2")
        waiting = asyncio.create_task(waiter.execute("update t set a = 3"))
        async with running(heard, {"postgres": {"dsn": {"env": "TEST_DSN"}}}):
            await eventually(lambda: heard.samples.get("postgres_locks_waiting", 0) >= 1)
            await eventually(lambda: heard.samples.get("postgres_cache_hit_ratio", 0) > 0)
            told = heard.samples
        await holder.execute("rollback")
        await waiting
    finally:
        for connection in (idle, holder, waiter):
            connection.terminate()
    assert heard.results[0] is CheckResult.OK
    assert told["postgres_idle_in_transaction"] >= 2
    assert told["postgres_longest_transaction_s"] > 0
    assert told["postgres_idle_in_transaction_longest_s"] > 0
    assert 0 < told["postgres_connections_ratio"] < 1
    assert told["postgres_database_size_bytes"] > 1_000_000
    assert told["postgres_deadlocks_total"] == 0
    assert told["postgres_latency_ms"] > 0
    assert told["postgres_commits_total"] >= 0


async def test_a_role_with_few_rights_sees_enough(
    dsn: str, platform: Platform, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setenv("TEST_DSN", platform.dsn("learner"))
    async with running(heard, {"postgres": {"dsn": {"env": "TEST_DSN"}}}):
        await eventually(lambda: "postgres_connections_ratio" in heard.samples)
    assert heard.results[0] is CheckResult.OK
    assert {"postgres_latency_ms", "postgres_locks_waiting", "postgres_deadlocks_total"} <= set(heard.samples)


async def test_an_address_that_is_none_is_told_without_what_it_holds(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setenv("TEST_DSN", "postgresql://u:hunter2@x:hunter2/db")
    async with running(heard, {"postgres": {"dsn": {"env": "TEST_DSN"}}}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is CheckResult.ERROR
    assert "hunter2" not in heard.checks[0].detail


# ---- SQL

STUCK = "select count(*) from jobs where status = 'posting' and started_at < now() - interval '30 minutes'"


@pytest.fixture
async def jobs(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        create table jobs (id serial, queue text, status text, started_at timestamptz);
        insert into jobs (queue, status, started_at)
        select 'mail', 'posting', now() - i * interval '20 minutes' from generate_series(0, 3) i;
        insert into jobs (queue, status, started_at) values ('web', 'done', now())
        """
    )
    return connection


async def test_a_count_is_published_and_judged(
    jobs: asyncpg.Connection[asyncpg.Record], eventually: Eventually
) -> None:
    heard = Heard()
    sql = {"dsn": {"env": "TEST_DSN"}, "statement": STUCK, "metric": "jobs_stuck", "above": 0}
    async with running(heard, {"sql": sql}):
        await eventually(lambda: heard.samples.get("jobs_stuck") == 2)
        assert heard.results[0] is CheckResult.ERROR
        assert heard.checks[0].kind is CheckKind.SQL
        assert heard.checks[0].probe == "web/sql/jobs_stuck"
        assert "jobs_stuck is 2, above 0" in heard.checks[0].detail
        await jobs.execute("update jobs set status = 'done'")
        await eventually(lambda: heard.results[-1] is CheckResult.OK)
        assert heard.samples["jobs_stuck"] == 0
    await jobs.close()


async def test_named_columns_and_groups(jobs: asyncpg.Connection[asyncpg.Record], eventually: Eventually) -> None:
    heard = Heard()
    statement = "select queue, count(*) as jobs, max(now() - started_at) as oldest from jobs group by queue order by 1"
    async with running(heard, {"sql": {"dsn": {"env": "TEST_DSN"}, "statement": statement, "metric": "queue"}}):
        await eventually(lambda: heard.all_samples)
    found = {(each.name, each.labels["queue"]): each.value for each in heard.all_samples}
    assert found["queue_jobs", "mail"] == 4
    assert found["queue_jobs", "web"] == 1
    assert 3_590 < found["queue_oldest", "mail"] < 3_700
    assert heard.results[0] is CheckResult.OK
    await jobs.close()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("delete from jobs returning 1", "read-only transaction"),
        ("select 1; delete from jobs", "multiple commands"),
        ("select 1; commit; delete from jobs", "multiple commands"),
        ("select pg_sleep(30)", "statement timeout"),
        ("select generate_series(1, 1000000)", "more than max_rows = 100"),
        ("select nothing from nowhere", "does not exist"),
    ],
)
async def test_a_statement_can_do_no_harm(
    jobs: asyncpg.Connection[asyncpg.Record], statement: str, says: str, eventually: Eventually
) -> None:
    heard = Heard()
    sql = {"dsn": {"env": "TEST_DSN"}, "statement": statement, "metric": "m"}
    async with running(heard, {"sql": sql, "timeout_ms": 500}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] in (CheckResult.ERROR, CheckResult.TIMEOUT)
    assert says in heard.checks[0].detail or heard.results[0] is CheckResult.TIMEOUT
    assert await jobs.fetchval("select count(*) from jobs") == 5
    await jobs.close()
