"""Rows that are kept whole before they change, and put back where nobody else has changed them since.

A row is kept as PostgreSQL writes it as text (`t::text`), under settings in which every type reads back what it wrote.
What a change did is read in its own transaction and kept before that commits; so what was committed can be undone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from services.healer.clients.base import ActuatorError
from services.healer.clients.postgres import MARKERS
from services.healer.domain.jobs import quoted

MAX_BYTES = 16 * 1024 * 1024
_EXACT = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
_TABLE = """
select c.oid, c.relkind::text as kind, format('%I.%I', n.nspname, c.relname) as name,
  array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary order by a.attnum) as keys,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and a.attgenerated = '' order by a.attnum) as columns,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attidentity = 'a') as fixed,
  (select string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
   from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as shape
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)
"""
_COUNTS = """
select relid = $1 or relid in (select p.relid from pg_partition_tree($1) p) as own, relid::regclass::text as name,
  n_tup_ins as inserted, n_tup_upd as updated, n_tup_del as deleted
from pg_stat_xact_user_tables where n_tup_ins + n_tup_upd + n_tup_del > 0 and relname <> $2
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a primary key, as it is now."""

    oid: int
    name: str
    """With its schema, quoted."""
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    """Those that can be written."""
    fixed: tuple[str, ...]
    """Columns that only an insert may set."""
    shape: str

    def same(self, left: str, right: str) -> str:
        """SQL: the two rows have one primary key."""
        return " and ".join(f"{left}.{quoted(key)} = {right}.{quoted(key)}" for key in self.keys)

    def of(self, column: str) -> str:
        """SQL: the row whose text is in `column`."""
        return f"({column}::{self.name})"


@dataclass(frozen=True, slots=True)
class RowCopies:
    """Rows as they were, and as the change left them (None: deleted), in one order."""

    table: str
    shape: str
    before: tuple[str, ...]
    after: tuple[str | None, ...]

    def packed(self) -> bytes:
        """Raises ActuatorError when it is too much to keep."""
        content = json.dumps([self.table, self.shape, self.before, self.after]).encode()
        if len(content) > MAX_BYTES:
            raise ActuatorError(
                f"{len(self.before)} rows of {self.table} are {len(content)} bytes, more than is kept ({MAX_BYTES}): "
                "nothing is changed; lower max_rows"
            )
        return content

    @staticmethod
    def unpacked(content: bytes) -> RowCopies:
        table, shape, before, after = json.loads(content)
        return RowCopies(table, shape, tuple(before), tuple(after))


@asynccontextmanager
async def exact_text(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Within it, and within a transaction, text of a row is exact; afterwards all settings are what they were."""
    names = list(_EXACT)
    former = [await connection.fetchval("select current_setting($1)", name) for name in names]
    await _set(connection, names, list(_EXACT.values()))
    yield
    await _set(connection, names, former)


async def _set(connection: asyncpg.Connection, names: list[str], values: list[str]) -> None:
    await connection.execute(
        "select set_config(name, value, true) from unnest($1::text[], $2::text[]) s(name, value)", names, values
    )


async def table_named(connection: asyncpg.Connection, name: str) -> Table:
    """Raises ActuatorError when there is none, or its rows can't be told apart."""
    found = await connection.fetchrow(_TABLE, name)
    if found is None:
        raise ActuatorError(f"there is no table {name}: name it with its schema, as in public.jobs")
    if found["kind"] not in ("r", "p"):
        raise ActuatorError(f"{name} is no ordinary table: name the table behind it")
    if not found["keys"]:
        raise ActuatorError(f"{name} has no primary key: its rows could not be put back; add one")
    lists = (tuple(found[part]) for part in ("keys", "columns", "fixed"))
    keys, columns, fixed = lists
    return Table(found["oid"], found["name"], keys, columns, fixed, found["shape"])


async def count(connection: asyncpg.Connection, table: Table, where: str, most: int) -> int:
    """How many rows are meant, counted up to `most`."""
    query = f"select count(*) from (select 1 from {table.name} t where ({where}) limit {most}) r"  # noqa: S608 - names quoted, the condition is the pack's
    prepared = await connection.prepare(query)
    return int(await prepared.fetchval())


async def locked(
    connection: asyncpg.Connection, table: Table, where: str, most: int, *, skip_locked: bool
) -> list[str]:
    """The rows that are meant, the first `most` by primary key, and nobody else changes them until the commit."""
    order = ", ".join(f"t.{quoted(key)}" for key in table.keys)
    tail = "for update of t" + (" skip locked" if skip_locked else "")
    query = f"select t::text from {table.name} t where ({where}) order by {order} limit {most} {tail}"  # noqa: S608
    prepared = await connection.prepare(query)  # one statement, whatever stands in the condition
    return [row[0] for row in await prepared.fetch()]


async def looked_again(connection: asyncpg.Connection, table: Table, rows: Sequence[str]) -> tuple[str | None, ...]:
    """The rows as they are now, found by the primary keys of `rows`, in their order; None: not there."""
    query = (
        f"select t::text from unnest($1::text[]) with ordinality k(image, n) "  # noqa: S608
        f"left join {table.name} t on {table.same('t', table.of('k.image'))} order by k.n"
    )
    return tuple(row[0] for row in await connection.fetch(query, list(rows)))


async def changed_by_us(connection: asyncpg.Connection, table: Table, rows: Sequence[str]) -> tuple[int, int]:
    """How many of the rows this transaction has written anew, and how many of them are not there any more."""
    query = (
        "select t.xmin::text::bigint = txid_current() % 4294967296 from unnest($1::text[]) k(image) "  # noqa: S608
        f"left join {table.name} t on {table.same('t', table.of('k.image'))}"
    )
    ours = [row[0] for row in await connection.fetch(query, list(rows))]
    return ours.count(True), ours.count(None)


async def require_only(connection: asyncpg.Connection, table: Table, written: int, gone: int) -> str:
    """Raises ActuatorError when this transaction has changed rows that are not kept. Says what else it has inserted."""
    inserted = []
    own = {"inserted": 0, "updated": 0, "deleted": 0}
    for found in await connection.fetch(_COUNTS, table.oid, MARKERS):
        if found["own"]:
            own = {name: own[name] + found[name] for name in own}
        elif found["updated"] or found["deleted"]:
            raise ActuatorError(
                f"it would also change {found['updated']} and delete {found['deleted']} rows of {found['name']}, "
                "which are not kept: undone at once; do without triggers and cascades, or without `backup`"
            )
        else:
            inserted.append(f"{found['inserted']} rows inserted into {found['name']} stay at an undo")
    if own != {"inserted": 0, "updated": written, "deleted": gone}:
        raise ActuatorError(
            f"it would change {own['updated']}, delete {own['deleted']} and insert {own['inserted']} rows of "
            f"{table.name}, of which only {written} and {gone} are kept: undone at once; "
            "widen `backup`, and leave primary keys alone"
        )
    return "; ".join(inserted)


async def put_back(connection: asyncpg.Connection, copies: RowCopies) -> int:
    """Puts back each row that still is what the change left; returns how many somebody else has changed since.

    Raises ActuatorError when the table has got other columns, or writes something else than was kept.
    """
    table = await table_named(connection, copies.table)
    if table.shape != copies.shape:
        raise ActuatorError(f"the columns of {table.name} have changed since: its rows can't be put back")
    pairs = list(zip(copies.before, copies.after, strict=True))
    updated = [(old, new) for old, new in pairs if new is not None and new != old]
    deleted = [old for old, new in pairs if new is None]
    restored = await _update_back(connection, table, updated) if updated else []
    absent = [row for row, now in zip(deleted, await looked_again(connection, table, deleted), strict=True) if not now]
    await _insert_back(connection, table, absent)
    restored += absent
    now = await looked_again(connection, table, restored)
    bent = sum(1 for wanted, found in zip(restored, now, strict=True) if found not in (wanted, None))
    if bent:
        raise ActuatorError(
            f"{bent} rows of {table.name} don't read back as they were, as a trigger changes them: none is put back"
        )
    wanted = [*(old for old, _ in updated), *deleted]
    found = await looked_again(connection, table, wanted)
    return sum(1 for old, at in zip(wanted, found, strict=True) if old != at)


async def _update_back(connection: asyncpg.Connection, table: Table, pairs: list[tuple[str, str]]) -> list[str]:
    columns = [column for column in table.columns if column not in table.fixed]
    assignments = ", ".join(f"{quoted(each)} = {table.of('k.old')}.{quoted(each)}" for each in columns)
    query = (
        f"update {table.name} t set {assignments} from unnest($1::text[], $2::text[]) k(old, new) "  # noqa: S608
        f"where {table.same('t', table.of('k.new'))} and t::text = k.new returning k.old"
    )
    return [row[0] for row in await connection.fetch(query, [old for old, _ in pairs], [new for _, new in pairs])]


async def _insert_back(connection: asyncpg.Connection, table: Table, rows: list[str]) -> None:
    columns = ", ".join(quoted(column) for column in table.columns)
    values = ", ".join(f"{table.of('k.old')}.{quoted(column)}" for column in table.columns)
    query = (
        f"insert into {table.name} ({columns}) overriding system value select {values} "  # noqa: S608
        "from unnest($1::text[]) k(old) on conflict do nothing"
    )
    await connection.execute(query, rows)
