"""Asks a PostgreSQL how it is: latency, connections, transactions, locks, replication (requirements A02, B23)."""

from __future__ import annotations

import asyncio
from time import perf_counter

import asyncpg
import structlog

from services.detector.clients.asking import ask, read_secret
from services.detector.clients.reports import Reports, gauges
from shared.contracts.ingest import CheckKind, Sample
from shared.packs.model import Probe, SecretRef

log = structlog.get_logger()

SIZE_EVERY_S = 60.0
"""The size of a database is the sum of its files: asked for less often."""

# What other roles' sessions do is shown to members of pg_monitor; others see their own, and counts of all.
_CONNECTIONS = """
select (select sum(numbackends) from pg_stat_database)::float8 as postgres_connections,
       current_setting('max_connections')::float8 as postgres_max_connections"""
_SESSIONS = """
select coalesce(extract(epoch from max(now() - xact_start)), 0)::float8 as postgres_longest_transaction_s,
       count(*) filter (where state like 'idle in transaction%')::float8 as postgres_idle_in_transaction,
       coalesce(extract(epoch from max(now() - state_change) filter (where state like 'idle in transaction%')), 0)
         ::float8 as postgres_idle_in_transaction_longest_s
from pg_stat_activity
where pid <> pg_backend_pid() and (backend_type = 'client backend' or backend_type is null)"""
_LOCKS = "select count(*)::float8 as postgres_locks_waiting from pg_locks where not granted"
_DATABASE = """
select xact_commit::float8 as postgres_commits_total, xact_rollback::float8 as postgres_rollbacks_total,
       deadlocks::float8 as postgres_deadlocks_total, temp_bytes::float8 as postgres_temp_bytes_total,
       blks_hit::float8 as hit, blks_read::float8 as read
from pg_stat_database where datname = current_database()"""
_REPLICA = """
select case when pg_is_in_recovery() then
         case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
              else coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()), 0) end
       end::float8 as postgres_replication_lag_s"""
_REPLICAS = """
select coalesce(nullif(application_name, ''), 'unnamed') as replica,
       max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::float8 as behind
from pg_stat_replication where not pg_is_in_recovery() group by 1 limit 50"""
_SIZE = "select pg_database_size(current_database())::float8 as postgres_database_size_bytes"

type Connection = asyncpg.Connection[asyncpg.Record]


async def connect(secret: SecretRef, timeout_ms: float, *, read_only: bool = False) -> Connection:
    """A session that gives up by itself after the probe's time-out. Never says what the secret holds."""
    dsn = read_secret(secret)
    settings = {"application_name": "homeostat-detector", "statement_timeout": str(max(1, round(timeout_ms)))}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    try:
        return await asyncpg.connect(dsn, timeout=timeout_ms / 1000, server_settings=settings)
    except ValueError:
        raise asyncpg.InterfaceError(
            "the dsn is no address: write postgresql://user:password@host:5432/database, odd signs in it as %XX"
        ) from None


class PostgresProber:
    """Whether new connections are served and how fast; what else the role may know is published beside it."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.postgres is not None
        self._probe, self._postgres, self._reports = probe, probe.postgres, reports
        self._blocks: tuple[float, float] | None = None
        self._sized_at = float("-inf")

    async def look(self) -> None:
        values: dict[str, float] = {}
        opened: list[Connection] = []

        async def question() -> str:
            connection = await connect(self._postgres.dsn, self._probe.timeout_ms)
            opened.append(connection)
            started = perf_counter()
            await connection.fetch(self._postgres.statement)
            values["postgres_query_ms"] = (perf_counter() - started) * 1000
            return ""

        try:
            seen = await ask(self._probe, question)
            await self._reports.check(self._probe.component, self._probe.name, CheckKind.POSTGRES, seen)
            if seen.latency_ms is None:
                return
            values["postgres_latency_ms"] = seen.latency_ms
            replicas: list[Sample] = []
            try:
                async with asyncio.timeout(self._probe.timeout_ms / 1000):
                    replicas = await self._look_closer(opened[0], values)
            except (OSError, asyncpg.InterfaceError) as error:  # a time-out is an OSError
                log.debug("no more of a database's statistics", probe=self._probe.name, error=str(error))
            await self._reports.metrics(self._probe.component, [*gauges(values), *replicas])
        finally:
            for connection in opened:
                connection.terminate()

    async def _look_closer(self, connection: Connection, values: dict[str, float]) -> list[Sample]:
        """Statistics: each on its own, because a role with few rights is refused some, and none is worth a failure."""
        statements = [_CONNECTIONS, _SESSIONS, _LOCKS, _DATABASE, _REPLICA]
        if perf_counter() - self._sized_at >= SIZE_EVERY_S:
            self._sized_at = perf_counter()
            statements.append(_SIZE)
        for statement in statements:
            for row in await _rows(connection, statement):
                values.update({name: value for name, value in row.items() if value is not None})
        ratio = self._hit_ratio(values.pop("hit", 0.0), values.pop("read", 0.0))
        if ratio is not None:
            values["postgres_cache_hit_ratio"] = ratio
        if values.get("postgres_max_connections"):
            share = values.get("postgres_connections", 0.0) / values["postgres_max_connections"]
            values["postgres_connections_ratio"] = share
        return [
            Sample(name="postgres_replication_lag_bytes", value=row["behind"], labels={"replica": row["replica"]})
            for row in await _rows(connection, _REPLICAS)
            if row["behind"] is not None
        ]

    def _hit_ratio(self, hit: float, read: float) -> float | None:
        """Of the blocks asked for since the last look, the share that was in memory; None when none was asked for."""
        before, self._blocks = self._blocks, (hit, read)
        if before is None or hit < before[0] or read < before[1]:  # first look, or the statistics were reset
            return None
        hits, reads = hit - before[0], read - before[1]
        return hits / (hits + reads) if hits + reads else None


async def _rows(connection: Connection, statement: str) -> list[asyncpg.Record]:
    try:
        return await connection.fetch(statement)
    except asyncpg.PostgresError:
        return []  # not for this role, not in this version, or not within the time-out
