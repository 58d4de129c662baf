"""A PostgreSQL in a container, with an application's traffic and a table of jobs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import asyncpg

from shared.contracts.base import Category, Severity
from tests.record.failures import Failure, Mend, System, free_port, sh

CONNECTIONS = 40
SCHEMA = """
create table if not exists accounts (id int primary key, balance int not null);
insert into accounts select n, 100 from generate_series(1, 50) n on conflict do nothing;
create table if not exists jobs (id serial primary key, state text not null, since timestamptz not null default now());
"""
STUCK = "select count(*) from jobs where state = 'running' and since < now() - interval '20 seconds'"
PROBLEMS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

type Work = Callable[[asyncpg.Connection], Awaitable[object]]


class Database:
    def __init__(self) -> None:
        self.name, port, password = f"record-{token_hex(4)}", free_port(), token_hex(12)
        self.dsn = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        sh(
            *("docker", "run", "--detach", "--name", self.name, "--publish", f"127.0.0.1:{port}:5432"),
            *("--env", f"POSTGRES_PASSWORD={password}", "postgres:17"),
            *("-c", f"max_connections={CONNECTIONS}", "-c", "deadlock_timeout=200ms"),
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute(SCHEMA)
            except PROBLEMS:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def execute(self, statement: str) -> None:
        asyncio.run(self._once(lambda connection: connection.execute(statement)))

    async def _once(self, work: Work) -> None:
        connection = await asyncpg.connect(self.dsn, timeout=3)
        try:
            await work(connection)
        finally:
            await connection.close(timeout=3)

    def in_background(self, *works: Work) -> Mend:
        """Each work in a session of its own, until it ends or is called off."""
        ended = threading.Event()

        async def one(work: Work) -> None:
            with suppress(*PROBLEMS):
                await self._once(work)

        async def main() -> None:
            tasks = [asyncio.create_task(one(work)) for work in works]
            while not ended.is_set():
                await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        thread.start()

        def stop() -> None:
            ended.set()
            thread.join()

        return stop

    def stop(self) -> Mend:
        sh("docker", "kill", self.name)
        return lambda: sh("docker", "start", self.name)

    def pause(self) -> Mend:
        sh("docker", "pause", self.name)
        return lambda: sh("docker", "unpause", self.name)

    def use_up(self) -> Mend:
        async def sit(_connection: asyncpg.Connection) -> None:
            await asyncio.sleep(3_600)

        return self.in_background(*[sit] * (CONNECTIONS - 5))

    def lock(self) -> Mend:
        async def hold(connection: asyncpg.Connection) -> None:
            async with connection.transaction():
                await connection.execute("lock table accounts in access exclusive mode")
                await asyncio.sleep(3_600)

        async def want(connection: asyncpg.Connection) -> None:
            await asyncio.sleep(1)
            await connection.execute("update accounts set balance = balance + 1 where id = 1")

        return self.in_background(hold, *[want] * 15)

    def deadlock(self) -> Mend:
        """Two sessions that take the same two rows, each in another order, again and again."""

        def taking(first: int, second: int) -> Work:
            async def work(connection: asyncpg.Connection) -> None:
                while True:
                    with suppress(asyncpg.DeadlockDetectedError):
                        async with connection.transaction():
                            await connection.execute("update accounts set balance = balance + 1 where id = $1", first)
                            await asyncio.sleep(0.3)
                            await connection.execute("update accounts set balance = balance - 1 where id = $1", second)

            return work

        return self.in_background(taking(1, 2), taking(2, 1), taking(3, 4), taking(4, 3))

    def leave_jobs(self) -> Mend:
        """Whoever worked on these jobs is gone."""
        self.execute("insert into jobs (state) select 'running' from generate_series(1, 30)")
        return lambda: self.execute("update jobs set state = 'done'")


@contextmanager
def system(_folder: Path) -> Iterator[System]:
    """The database `ledger`."""
    database = Database()
    stopped = threading.Event()

    async def work(connection: asyncpg.Connection) -> None:
        while not stopped.is_set():
            await connection.execute("select sum(balance) from accounts where id < 10", timeout=2)
            await asyncio.sleep(0.2)

    def trade() -> None:
        while not stopped.is_set():
            with suppress(*PROBLEMS):
                asyncio.run(database._once(work))
            stopped.wait(0.5)

    application = threading.Thread(target=trade, daemon=True)
    application.start()
    dsn = {"env": "RECORD_LEDGER_DSN"}
    pack = {
        "pack": "ledger",
        "components": {"ledger": {"kind": "database"}},
        "probes": [
            {"component": "ledger", "every_s": 2, "timeout_ms": 1500, "postgres": {"dsn": dsn}},
            {"component": "ledger", "every_s": 5, "sql": {"dsn": dsn, "statement": STUCK, "metric": "jobs_stuck"}},
        ],
        "rules": [{"component": "ledger", "metric": "jobs_stuck", "above": 10, "for_s": 10, "severity": "warning"}],
    }
    critical = Severity.CRITICAL
    connections = (Category.DATABASE_CONNECTION, Category.POOL_STARVATION)
    try:
        yield System(
            pack,
            (
                Failure("postgres-connections-used-up", "ledger", connections, database.use_up, severity=critical),
                Failure("postgres-table-locked", "ledger", (Category.LOCK_CONTENTION,), database.lock, 120),
                Failure("postgres-deadlocks", "ledger", (Category.LOCK_CONTENTION,), database.deadlock),
                Failure("postgres-jobs-stuck", "ledger", (Category.JOB_STUCK,), database.leave_jobs, 100),
                Failure("postgres-suspended", "ledger", (Category.HANG, Category.TIMEOUT), database.pause),
                Failure("postgres-killed", "ledger", (Category.CRASH,), database.stop, severity=critical),
            ),
            {"RECORD_LEDGER_DSN": database.dsn},
        )
    finally:
        stopped.set()
        application.join(5)
        sh("docker", "rm", "--force", "--volumes", database.name)
