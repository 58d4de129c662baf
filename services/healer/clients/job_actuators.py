"""jobs.requeue, jobs.mark_incomplete and jobs.clean_up: rows of a table of jobs, each kept before it is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.healer.clients.base import Context, Done, Facts
from services.healer.clients.row_changes import RowChanges
from services.healer.clients.rows import Table
from services.healer.domain.jobs import change_of
from shared.packs.actions.databases import OnJobs


@dataclass(frozen=True, slots=True)
class ChangeJobs:
    """Rows are chosen when acting: what has got stuck since is meant as well, what was finished isn't."""

    context: Context
    action: OnJobs

    @property
    def resource(self) -> str:
        return f"table:{self.action.dsn.env or self.action.dsn.file}:{self.action.table}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    @property
    def _rows(self) -> RowChanges:
        where = change_of(self.action).where
        return RowChanges(self.context, self.action.dsn, self.resource, self.action.table, where)

    async def observe(self) -> Facts:
        return {"rows": await self._rows.count(self.action.max_rows + 1)}

    def describe(self, seen: Facts) -> str:
        return f"{change_of(self.action).words} ({seen['rows']} in {self.action.table}, at most {self.action.max_rows})"

    async def apply(self, seen: Facts) -> Done:
        return await self._rows.apply(self._change, self.action.max_rows, all_or_none=False)

    async def _change(self, connection: asyncpg.Connection, table: Table, rows: list[str]) -> None:
        assignments, name = change_of(self.action).assignments, table.name
        update, delete = f"update {name} t set {assignments} from", f"delete from {name} t using"  # noqa: S608 - quoted
        same = table.same("t", table.of("k.image"))
        verb = update if assignments else delete
        await connection.execute(f"{verb} unnest($1::text[]) k(image) where {same}", rows)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Jobs that somebody has taken up again since are left."""
        return await self._rows.undo()
