"""sql.execute: one statement and the note that it was executed, in one transaction of the target database."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from shared.packs.actions.calls import SqlStatement
from shared.packs.model import SecretRef

_MARKERS = "homeostat_applied_steps"
_CONNECT_TIMEOUT_S = 5.0


def read_secret(reference: SecretRef, environment: Mapping[str, str]) -> str:
    """The secret that a pack names. Raises ActuatorError when it isn't there; the error never holds the value."""
    if reference.env is not None:
        if reference.env not in environment:
            raise ActuatorError(f"environment variable {reference.env} is not set for the healer")
        return environment[reference.env]
    try:
        return Path(reference.file or "").read_text().strip()
    except OSError as error:
        raise ActuatorError(f"can't read secret file {reference.file}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class ExecuteSql:
    context: Context
    action: SqlStatement

    @property
    def resource(self) -> str:
        return f"sql:{self.action.dsn.env or self.action.dsn.file}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        read_secret(self.action.dsn, os.environ)
        return {}

    def describe(self, seen: Facts) -> str:
        return f"execute on {self.resource}: {self.action.statement}"

    async def apply(self, seen: Facts) -> Done:
        return await self._on_database(self._execute_once)

    async def _on_database(self, work: Callable[[asyncpg.Connection], Awaitable[Done]]) -> Done:
        dsn = read_secret(self.action.dsn, os.environ)
        try:
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=self.context.timeout_s)
            try:
                return await work(connection)
            finally:
                await connection.close(timeout=_CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ActuatorError(f"{self.resource}: {type(error).__name__}: {error}") from error

    async def _execute_once(self, connection: asyncpg.Connection) -> Done:
        if await connection.fetchval("select to_regclass($1)", _MARKERS) is None:
            await _create_markers(connection)
        async with connection.transaction():
            is_new = await connection.fetchval(
                f"insert into {_MARKERS} (key, applied_at) values ($1, now()) on conflict do nothing returning true",  # noqa: S608 - our own name
                self.context.key,
            )
            if not is_new:
                return Done("executed already", changed=False)
            rows = _rows(await connection.execute(self.action.statement))
            if rows > self.action.max_rows:
                raise ActuatorError(
                    f"the statement touched {rows} rows, more than max_rows = {self.action.max_rows}: "
                    "undone; narrow the statement or raise max_rows"
                )
        return Done(f"{rows} rows")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Nothing to undo where the statement was never committed: its marker tells."""
        return await self._on_database(self._require_absence)

    async def _require_absence(self, connection: asyncpg.Connection) -> Done:
        if await connection.fetchval("select to_regclass($1)", _MARKERS) is None:
            return Done("was not executed", changed=False)
        executed = await connection.fetchval(f"select true from {_MARKERS} where key = $1", self.context.key)  # noqa: S608
        if executed:
            raise IrreversibleError(f"the statement executed on {self.resource} can't be undone")
        return Done("was not executed", changed=False)


async def _create_markers(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(
            f"create table if not exists {_MARKERS} (key text primary key, applied_at timestamptz not null)"
        )
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
        return  # somebody else has just made it


def _rows(tag: str) -> int:
    """The number at the end of a command tag, as in `UPDATE 5`; 0 for commands that count nothing."""
    match = re.search(r"(\d+)$", tag)
    return int(match.group(1)) if match else 0
