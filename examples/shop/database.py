"""The orders database: a pool that waits while the server is away and comes back by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from examples.shop import logs
from examples.shop.web import AnswerError

type Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

# Two programs create the same tables; PostgreSQL's IF NOT EXISTS alone does not survive that race.
_SCHEMA_LOCK = 0x5109
_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    amount_cents bigint NOT NULL,
    status text NOT NULL,
    charge_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS orders_created_at ON orders (created_at);
CREATE TABLE IF NOT EXISTS jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending',
    claimed_by text,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (state, id) WHERE state <> 'done';
CREATE INDEX IF NOT EXISTS jobs_order ON jobs (order_id);
"""
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 2.0
_CONNECT_TIMEOUT_S = 1.0
_CONNECT_PATIENCE_S = 0.4
_COMMAND_TIMEOUT_S = 0.7
_SCHEMA_TIMEOUT_S = 10.0
_MAX_CONNECTIONS = 5

DATABASE_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Database:
    """Use inside `async with opened()`; `connection()` gives what a request needs or AnswerError 503."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._connected = asyncio.Event()

    def connected(self) -> bool:
        return self._pool is not None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        connecting = asyncio.create_task(self._connect())
        try:
            yield
        finally:
            connecting.cancel()
            if self._pool is not None:
                self._pool.terminate()

    async def _connect(self) -> None:
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=_MAX_CONNECTIONS,
                    timeout=_CONNECT_TIMEOUT_S,
                    command_timeout=_COMMAND_TIMEOUT_S,
                    server_settings={"application_name": "shop", "jit": "off"},
                )
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute(
                        f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK}); {_SCHEMA}", timeout=_SCHEMA_TIMEOUT_S
                    )
            except DATABASE_ERRORS as problem:
                reason = f"{type(problem).__name__}: {problem}"
                logs.error("database_away", f"orders database: {reason}", error=reason)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _RETRY_MOST_S)
            else:
                self._pool = pool
                self._connected.set()
                return

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection; AnswerError 503 when the database is away or fails the statement."""
        pool = await self._wait_connected()
        try:
            async with pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection:
                yield connection
        except DATABASE_ERRORS as problem:
            reason = f"{type(problem).__name__}: {problem}"
            logs.error("database_failed", f"orders database: {reason}", error=reason, status=503)
            raise AnswerError(503, f"orders database: {reason}") from problem

    async def _wait_connected(self) -> "asyncpg.Pool[asyncpg.Record]":
        """After a restart the first requests come a moment before the connection."""
        if self._pool is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), _CONNECT_PATIENCE_S)
        if self._pool is None:
            raise AnswerError(503, "orders database: not connected yet")
        return self._pool
