"""postgres.terminate_idle and postgres.connection_limit: room for connections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError, number, text
from services.healer.clients.postgres import on_database
from shared.packs.actions.databases import ConnectionLimit, TerminateIdle
from shared.packs.component import SecretRef

_IDLE = """
select pid, backend_start::text as started from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
  and application_name not like 'homeostat%' and state = any($1::text[])
  and state_change < now() - make_interval(secs => $2)
  and ($3::text is null or usename = $3) and ($4::text is null or application_name = $4)
"""
_FIND = f"{_IDLE} order by state_change limit $5"
# asked again in the same statement: a connection that works again meanwhile is left
_END = f"""
with idle as materialized ({_IDLE})
select count(*) filter (where pg_terminate_backend(i.pid)) from idle i
join unnest($5::int[], $6::text[]) seen(pid, started) on i.pid = seen.pid and i.started = seen.started
"""  # noqa: S608 - no part of it comes from outside


def _resource(dsn: SecretRef) -> str:
    return f"connections:{dsn.env or dsn.file}"


@dataclass(frozen=True, slots=True)
class EndIdleConnections:
    """Ends connections that were idle when it looked and are so still; what became idle since is left."""

    context: Context
    action: TerminateIdle

    @property
    def resource(self) -> str:
        return _resource(self.action.dsn)

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        async def find(connection: asyncpg.Connection) -> list[tuple[int, str]]:
            rows = await connection.fetch(_FIND, *self._conditions, self.action.max_connections)
            return [(row["pid"], row["started"]) for row in rows]

        found = await on_database(self.action.dsn, self.resource, self.context.timeout_s, find)
        return {"count": len(found), "connections": json.dumps(found)}

    @property
    def _conditions(self) -> tuple[list[str], float, str | None, str | None]:
        action = self.action
        return list(action.states), action.older_than_s, action.role, action.application_name

    def describe(self, seen: Facts) -> str:
        whose = f" of role {self.action.role}" if self.action.role else ""
        since = f"idle for more than {self.action.older_than_s:g} s"
        return f"end {seen['count']} connections{whose} {since} ({self.resource})"

    async def apply(self, seen: Facts) -> Done:
        found: list[tuple[int, str]] = [(pid, started) for pid, started in json.loads(text(seen, "connections"))]

        async def end(connection: asyncpg.Connection) -> int:
            pids, starts = [pid for pid, _ in found], [started for _, started in found]
            return int(await connection.fetchval(_END, *self._conditions, pids, starts))

        ended = await on_database(self.action.dsn, self.resource, self.context.timeout_s, end) if found else 0
        return Done(f"ended {ended} of {len(found)} idle connections", changed=ended > 0)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if not before["count"]:
            return Done("no connection had been ended", changed=False)
        raise IrreversibleError("an ended connection can't be opened again from here: its pool opens a new one")


@dataclass(frozen=True, slots=True)
class SetConnectionLimit:
    """Connections that are there stay, whatever the limit."""

    context: Context
    action: ConnectionLimit

    @property
    def resource(self) -> str:
        return f"{_resource(self.action.dsn)}:{self._whose}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    @property
    def _whose(self) -> str:
        return f"role {self.action.role}" if self.action.role else f"database {self.action.database}"

    async def observe(self) -> Facts:
        return {"limit": await on_database(self.action.dsn, self.resource, self.context.timeout_s, self._read)}

    async def _read(self, connection: asyncpg.Connection) -> int:
        if self.action.role:
            found = await connection.fetchval(
                "select rolconnlimit from pg_roles where rolname = $1 and not rolsuper", self.action.role
            )
        else:
            found = await connection.fetchval(
                "select datconnlimit from pg_database where datname = $1 and not datistemplate", self.action.database
            )
        if found is None:
            raise ActuatorError(f"there is no {self._whose} that a limit holds for: superusers have none")
        return int(found)

    def describe(self, seen: Facts) -> str:
        return f"set the connection limit of {self._whose} from {seen['limit']} to {self.action.limit}"

    async def apply(self, seen: Facts) -> Done:
        return await self._set(number(seen, "limit"), self.action.limit)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return await self._set(self.action.limit, number(before, "limit"))

    async def _set(self, old: int, new: int) -> Done:
        async def change(connection: asyncpg.Connection) -> Done:
            async with connection.transaction():
                now = await self._read(connection)
                if now == new:
                    return Done(f"the connection limit of {self._whose} is {new} already", changed=False)
                if now != old:
                    raise ActuatorError(f"somebody else has set the connection limit of {self._whose} to {now}: left")
                kind, name = ("role", self.action.role) if self.action.role else ("database", self.action.database)
                statement = await connection.fetchval(
                    f"select format('alter {kind} %I connection limit %s', $1::text, $2::int)", name, new
                )
                await connection.execute(statement)
            return Done(f"connection limit of {self._whose}: {old} → {new}")

        return await on_database(self.action.dsn, self.resource, self.context.timeout_s, change)
