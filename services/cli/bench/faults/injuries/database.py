"""What goes wrong in the orders database: locks, lost sessions, jobs that nobody finishes, no connection left."""

from __future__ import annotations

import asyncio

from services.cli.bench.faults.ground import BREAKER, Ground
from services.cli.bench.faults.scenario import Deed

GHOST = "ghost"
"""A worker that is no more, to whom jobs still belong."""


def idle_lock(table: str = "orders", *, for_s: float | None = None) -> Deed:
    """A transaction locks a table and then does nothing; for ever, or for a moment."""

    async def strike(ground: Ground) -> None:
        session = await ground.database()
        await session.execute(f"begin; lock table {table} in access exclusive mode")
        if for_s is not None:

            async def let_go() -> None:
                await asyncio.sleep(for_s)
                await session.execute("rollback")

            ground.later(let_go())

    return strike


def stranded_jobs(count: int) -> Deed:
    """Jobs that are marked as running by a worker that doesn't exist."""

    async def strike(ground: Ground) -> None:
        session = await ground.database()
        await session.execute(
            "with placed as (insert into orders (sku, quantity, amount_cents, status)"
            " select 'sku-001', 1, 1, 'paid' from generate_series(1, $1) returning id)"
            " insert into jobs (order_id, state, claimed_by) select id, 'running', $2 from placed",
            count,
            GHOST,
        )

        async def finish() -> None:
            cleaner = await ground.database()
            await cleaner.execute("update jobs set state = 'done', done_at = now() where claimed_by = $1", GHOST)

        ground.undo(finish)

    return strike


def sessions_ended() -> Deed:
    """Every session of the shop is ended by the server, as at a failover."""

    async def strike(ground: Ground) -> None:
        session = await ground.database(superuser=True)
        await session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'shop' and application_name <> $1",
            BREAKER,
        )

    return strike


def no_connections() -> Deed:
    """The role may not connect any more, and those who were are thrown out."""

    async def strike(ground: Ground) -> None:
        session = await ground.database(superuser=True)
        await session.execute("alter role shop connection limit 0")

        async def allow() -> None:
            other = await ground.database(superuser=True)
            await other.execute("alter role shop connection limit -1")

        ground.undo(allow)
        await sessions_ended()(ground)

    return strike


def busy(sessions: int, for_s: float) -> Deed:
    """Others keep the server busy: statements get slower, and nothing is broken."""

    async def strike(ground: Ground) -> None:
        for _ in range(sessions):
            session = await ground.database()
            ground.later(_count(session, for_s))

    async def _count(session: object, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            await session.fetchval("select count(*) from generate_series(1, 200000)")  # type: ignore[attr-defined]

    return strike
