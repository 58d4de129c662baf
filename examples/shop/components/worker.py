"""The worker: fulfils paid orders from the job table, and takes back what it left behind when it died."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from examples.shop import logs
from examples.shop.database import Database
from examples.shop.web import AnswerError, Component, Context

_POLL_S = 0.25
_BATCH = 20
_WORK_S = 0.005
_HOUSEKEEPING_S = 60.0
_KEEP_JOBS, _KEEP_ORDERS = timedelta(minutes=10), timedelta(hours=1)


def build(context: Context) -> Component:
    database = Database(context.settings.require_database_url())
    worker = _Worker(database, os.environ.get("SHOP_WORKER_ID", "worker"), context)

    @asynccontextmanager
    async def resources() -> AsyncIterator[None]:
        async with database.opened():
            tasks = [asyncio.create_task(worker.work()), asyncio.create_task(worker.keep_house())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    return Component(routes=[], resources=resources, ready=lambda: worker.took_over)


class _Worker:
    """One consumer of the job table, known to it by `identity`."""

    def __init__(self, database: Database, identity: str, context: Context) -> None:
        self.took_over = False
        self._database = database
        self._identity = identity
        self._pending = context.metrics.gauge("jobs_pending", "Jobs waiting: grows when the worker lags")
        self._done = context.metrics.counter("jobs_done", "Jobs finished")
        self._requeued = context.metrics.counter("jobs_requeued", "Jobs a former process of this worker left")

    async def work(self) -> None:
        while True:
            try:
                if not self.took_over:
                    await self._take_over()
                busy = await self._work_batch()
            except AnswerError:
                # Logged where it happened. A batch that broke off is this worker's to take back.
                self.took_over = False
                busy = False
            if not busy:
                await asyncio.sleep(_POLL_S)

    async def _take_over(self) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "UPDATE jobs SET state = 'pending', claimed_by = NULL"
                " WHERE state = 'running' AND claimed_by = $1 RETURNING id",
                self._identity,
            )
        self.took_over = True
        if rows:
            self._requeued.inc(len(rows))
            logs.warning("jobs_requeued", f"took back {len(rows)} abandoned jobs", jobs=len(rows))

    async def _work_batch(self) -> bool:
        """True when there was a full batch, so that more may be waiting."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "UPDATE jobs SET state = 'running', claimed_by = $1, attempts = attempts + 1 WHERE id IN ("
                "  SELECT id FROM jobs WHERE state = 'pending' ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED"
                ") RETURNING id, order_id",
                self._identity,
                _BATCH,
            )
            self._pending.set(await connection.fetchval("SELECT count(*) FROM jobs WHERE state = 'pending'"))
        if not rows:
            return False
        await asyncio.sleep(_WORK_S * len(rows))  # picking and packing
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(
                "UPDATE jobs SET state = 'done', done_at = now() WHERE id = ANY($1)", [row["id"] for row in rows]
            )
            await connection.execute(
                "UPDATE orders SET status = 'fulfilled' WHERE id = ANY($1)", [row["order_id"] for row in rows]
            )
        self._done.inc(len(rows))
        return len(rows) == _BATCH

    async def keep_house(self) -> None:
        """Old rows go, or the tables would grow for as long as the shop runs."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                async with self._database.connection() as connection:
                    await connection.execute(
                        "DELETE FROM jobs WHERE state = 'done' AND done_at < now() - $1::interval", _KEEP_JOBS
                    )
                    await connection.execute("DELETE FROM orders WHERE created_at < now() - $1::interval", _KEEP_ORDERS)
            except AnswerError:
                continue  # logged where it happened; the next round deletes what this one did not
