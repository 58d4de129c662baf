"""A change of rows that happens once, touches only rows that are kept, and can be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from services.healer.clients.base import ActuatorError, Context, Done
from services.healer.clients.postgres import MARKERS, ensure_marks, mark, marked, on_database
from services.healer.clients.rows import (
    RowCopies,
    Table,
    changed_by_us,
    count,
    exact_text,
    locked,
    looked_again,
    put_back,
    require_only,
    table_named,
)
from shared.packs.component import SecretRef

type Change = Callable[[asyncpg.Connection, Table, list[str]], Awaitable[None]]
"""Changes these rows (given as text) in the transaction it is called in."""


@dataclass(frozen=True, slots=True)
class RowChanges:
    """The mark, the copies and the change are of one transaction: what committed is kept, and what is kept committed
    or never happened, which the mark tells."""

    context: Context
    dsn: SecretRef
    resource: str
    table: str
    where: str

    async def count(self, most: int) -> int:
        """How many rows are meant now, counted up to `most`."""

        async def counted(connection: asyncpg.Connection) -> int:
            async with connection.transaction(readonly=True), exact_text(connection):
                return await count(connection, await table_named(connection, self.table), self.where, most)

        return await self._on_database(counted)

    async def apply(self, change: Change, most: int, *, all_or_none: bool) -> Done:
        """Changes the rows that are meant, at most `most` of them. With `all_or_none` more are an error; without it the
        first are taken, and rows that others hold locked are left to them."""

        async def once(connection: asyncpg.Connection) -> Done:
            await ensure_marks(connection)
            async with connection.transaction():
                if not await mark(connection, self.context.key):
                    return Done("done already", changed=False)
                table = await table_named(connection, self.table)
                limit = most + 1 if all_or_none else most
                async with exact_text(connection):
                    before = await locked(connection, table, self.where, limit, skip_locked=not all_or_none)
                if len(before) > most:
                    raise ActuatorError(self.too_many(most))
                return await self._change(connection, table, before, change)

        return await self._on_database(once)

    async def _change(self, connection: asyncpg.Connection, table: Table, before: list[str], change: Change) -> Done:
        await change(connection, table, before)
        async with exact_text(connection):
            after = await looked_again(connection, table, before)
            written, gone = await changed_by_us(connection, table, before)
        note = await require_only(connection, table, written, gone)
        if written + gone:
            await self.context.keep(RowCopies(table.name, table.shape, tuple(before), after).packed())
        words = f"{written} rows of {self.table} changed, {gone} deleted"
        return Done(f"{words}; {note}" if note else words, changed=written + gone > 0)

    async def undo(self) -> Done:
        """Rows that somebody else has changed since are left; that there are such is an ActuatorError, at the end."""
        left, done = await self._on_database(self._put_back)
        if left:
            raise ActuatorError(
                f"{left} rows of {self.table} were changed by somebody else since and left: {done.detail}"
            )
        return done

    async def _put_back(self, connection: asyncpg.Connection) -> tuple[int, Done]:
        if not await marked(connection, self.context.key):
            return 0, Done("was not executed", changed=False)
        content = await self.context.kept()
        if content is None:
            return 0, Done("no rows had been changed", changed=False)
        copies = RowCopies.unpacked(content)
        undone = f"{self.context.key}/undone/"
        async with connection.transaction():
            known = await connection.fetchval(
                f"select key from {MARKERS} where starts_with(key, $1)",  # noqa: S608 - our own name
                undone,
            )
            if known is not None:
                return int(known.removeprefix(undone)), Done("put back already", changed=False)
            async with exact_text(connection):
                left = await put_back(connection, copies)
            await mark(connection, f"{undone}{left}")
        changed = sum(1 for old, new in zip(copies.before, copies.after, strict=True) if old != new)
        return left, Done(f"{changed - left} rows of {self.table} put back", changed=changed > left)

    def too_many(self, most: int) -> str:
        return (
            f"{self.resource}: more than max_rows = {most} rows of {self.table} are meant: nothing is changed; "
            "narrow the condition or raise max_rows"
        )

    async def _on_database[T](self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        return await on_database(self.dsn, self.resource, self.context.timeout_s, work)
