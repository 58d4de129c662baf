"""sql.execute: one statement and the note that it was executed, in one transaction of the target database."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from services.healer.clients.postgres import ensure_marks, mark, marked, on_database
from services.healer.clients.row_changes import RowChanges
from services.healer.clients.rows import Table
from services.healer.clients.secrets import read_secret
from shared.packs.actions.calls import RowBackup, SqlStatement


@dataclass(frozen=True, slots=True)
class ExecuteSql:
    """With `backup` the statement may change rows that are kept and no others, and they can be put back."""

    context: Context
    action: SqlStatement

    @property
    def resource(self) -> str:
        return f"sql:{self.action.dsn.env or self.action.dsn.file}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    def _rows(self, backup: RowBackup) -> RowChanges:
        return RowChanges(self.context, self.action.dsn, self.resource, backup.table, backup.where)

    async def observe(self) -> Facts:
        read_secret(self.action.dsn, os.environ)
        if self.action.backup is None:
            return {}
        rows = self._rows(self.action.backup)
        found = await rows.count(self.action.max_rows + 1)
        if found > self.action.max_rows and await self.context.kept() is None:
            raise ActuatorError(rows.too_many(self.action.max_rows))
        return {"rows": found}

    def describe(self, seen: Facts) -> str:
        kept = f" ({seen['rows']} rows of {self.action.backup.table} kept before)" if self.action.backup else ""
        return f"execute on {self.resource}: {self.action.statement}{kept}"

    async def apply(self, seen: Facts) -> Done:
        if self.action.backup is None:
            return await on_database(self.action.dsn, self.resource, self.context.timeout_s, self._execute_once)
        return await self._rows(self.action.backup).apply(self._change, self.action.max_rows, all_or_none=True)

    async def _change(self, connection: asyncpg.Connection, _table: Table, _rows: list[str]) -> None:
        statement = await connection.prepare(self.action.statement)  # refuses more than one statement
        await statement.fetch()
        verb = (statement.get_statusmsg() or "nothing").split(" ")[0]
        if verb not in ("UPDATE", "DELETE"):
            raise ActuatorError(f"with `backup` the statement is an UPDATE or a DELETE, not {verb}: undone at once")

    async def _execute_once(self, connection: asyncpg.Connection) -> Done:
        await ensure_marks(connection)
        async with connection.transaction():
            if not await mark(connection, self.context.key):
                return Done("executed already", changed=False)
            rows = _rows(await connection.execute(self.action.statement))
            if rows > self.action.max_rows:
                raise ActuatorError(
                    f"the statement touched {rows} rows, more than max_rows = {self.action.max_rows}: "
                    "undone; narrow the statement or raise max_rows"
                )
        return Done(f"{rows} rows")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Nothing to undo where the statement was never committed: its mark tells."""
        if self.action.backup is not None:
            return await self._rows(self.action.backup).undo()
        return await on_database(self.action.dsn, self.resource, self.context.timeout_s, self._require_absence)

    async def _require_absence(self, connection: asyncpg.Connection) -> Done:
        if await marked(connection, self.context.key):
            raise IrreversibleError(f"the statement executed on {self.resource} can't be undone: it kept no rows")
        return Done("was not executed", changed=False)


def _rows(tag: str) -> int:
    """The number at the end of a command tag, as in `UPDATE 5`; 0 for commands that count nothing."""
    match = re.search(r"(\d+)$", tag)
    return int(match.group(1)) if match else 0
