"""What happened: the timeline, the newest state of each thing, and figures drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.domain.pages import Cursor
from services.gateway.store.tables import CHAINED, LatestRow, TimelineRow, table_of
from shared.contracts.base import CaseEvent, Event

type Body = dict[str, JsonValue]

UNCHAINED = b""
"""Stands in a new row until the database's trigger puts the hashes there."""
MAX_STORY = 2_000
"""Entries of one case that are shown; a case with more is told by its newest."""


# Made once: building and looking up a statement costs more than executing it.
_APPEND = upsert(table_of(TimelineRow)).on_conflict_do_nothing(index_elements=["id"]).returning(TimelineRow.id)
_LATEST = upsert(table_of(LatestRow))
_KEEP_NEWEST = _LATEST.on_conflict_do_update(
    index_elements=["kind", "key"],
    set_={name: _LATEST.excluded[name] for name in ("case_id", "component", "status", "revision", "at", "body")},
    where=tuple_(LatestRow.revision, LatestRow.at) <= tuple_(_LATEST.excluded.revision, _LATEST.excluded.at),
)


def storable(value: JsonValue) -> JsonValue:
    """`value` without NUL characters, which PostgreSQL's JSON can't hold."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{SYMBOL FOR NULL}")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {key.replace("\x00", "\N{SYMBOL FOR NULL}"): storable(item) for key, item in value.items()}
    return value


def body_of(event: Event) -> Body:
    """The event as JSON that PostgreSQL can hold."""
    body = storable(event.model_dump(mode="json", by_alias=True))
    assert isinstance(body, dict)
    return body


async def record(session: AsyncSession, event: Event, body: Body, now: datetime, trace_id: str) -> bool:
    """Appends the event; False when it was there already."""
    row = {
        "seq": 0,
        "id": event.id,
        "subject": event.SUBJECT,
        "case_id": event.case_id if isinstance(event, CaseEvent) else None,
        "component": str(getattr(event, event.KEY, "")),
        "at": event.at,
        "recorded_at": now,
        "trace_id": trace_id,
        "body": body,
        "prev_hash": UNCHAINED,
        "hash": UNCHAINED,
    }
    return (await session.execute(_APPEND, row)).first() is not None


@dataclass(frozen=True, slots=True)
class State:
    """The newest of something; a lower revision, or the same one at an earlier time, never replaces it."""

    kind: str
    key: str
    case_id: UUID
    component: str
    status: str
    revision: int
    at: datetime
    body: Body


async def keep_newest(session: AsyncSession, state: State) -> None:
    """Keeps `state` unless something newer is kept already: events may arrive in any order."""
    row = {
        "kind": state.kind,
        "key": state.key,
        "case_id": state.case_id,
        "component": state.component,
        "status": state.status,
        "revision": state.revision,
        "at": state.at,
        "body": state.body,
    }
    await session.execute(_KEEP_NEWEST, [row])


@dataclass(frozen=True, slots=True)
class Page:
    """A page of bodies, newest first; `next` is where the following one begins."""

    bodies: list[Body]
    next: Cursor | None


async def page(
    session: AsyncSession,
    kind: str,
    limit: int,
    cursor: Cursor | None = None,
    statuses: Sequence[str] = (),
    component: str | None = None,
) -> Page:
    """Newest states of `kind`, narrowed by status and component."""
    wanted: list[ColumnElement[bool]] = [LatestRow.kind == kind]
    if statuses:
        wanted.append(LatestRow.status.in_(statuses))
    if component is not None:
        wanted.append(LatestRow.component == component)
    if cursor is not None:
        older = and_(LatestRow.at == cursor.at, LatestRow.key < cursor.key)
        wanted.append(or_(LatestRow.at < cursor.at, older))
    query = select(LatestRow).where(*wanted).order_by(LatestRow.at.desc(), LatestRow.key.desc()).limit(limit + 1)
    rows = list((await session.execute(query)).scalars())
    shown = rows[:limit]
    following = Cursor(shown[-1].at, shown[-1].key) if len(rows) > limit else None
    return Page([row.body for row in shown], following)


async def newest(session: AsyncSession, kind: str, key: str) -> Body | None:
    row = await session.get(LatestRow, (kind, key))
    return row.body if row else None


async def newest_of_kind(session: AsyncSession, kind: str, keys: Sequence[str]) -> dict[str, Body]:
    query = select(LatestRow.key, LatestRow.body).where(LatestRow.kind == kind, LatestRow.key.in_(keys))
    return dict((await session.execute(query)).all())


async def newest_of_case(session: AsyncSession, kind: str, case_id: UUID) -> list[Body]:
    query = select(LatestRow.body).where(LatestRow.case_id == case_id, LatestRow.kind == kind).order_by(LatestRow.at)
    return list((await session.execute(query)).scalars())


async def count(session: AsyncSession, kind: str, statuses: Sequence[str]) -> int:
    query = select(func.count()).where(LatestRow.kind == kind, LatestRow.status.in_(statuses))
    return int((await session.execute(query)).scalar_one())


# ---- stories


async def story(session: AsyncSession, case_id: UUID) -> Sequence[TimelineRow]:
    """What was recorded of a case, oldest first."""
    query = select(TimelineRow).where(TimelineRow.case_id == case_id).order_by(TimelineRow.seq.desc()).limit(MAX_STORY)
    return list(reversed((await session.execute(query)).scalars().all()))


async def cases_named(session: AsyncSession, prefix: str, most: int = 5) -> list[UUID]:
    """Ids of cases that begin with `prefix` (hexadecimal digits, hyphens or not), by a range of the index."""
    digits = prefix.replace("-", "")
    low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    query = select(TimelineRow.case_id).where(TimelineRow.case_id.between(low, high)).distinct().limit(most)
    return [found for found in (await session.execute(query)).scalars() if found]


async def last_case(session: AsyncSession) -> UUID | None:
    """The case in which something happened last."""
    query = select(TimelineRow.case_id).where(TimelineRow.case_id.is_not(None)).order_by(TimelineRow.seq.desc())
    return (await session.execute(query.limit(1))).scalar()


async def entries_after(session: AsyncSession, seq: int, limit: int) -> Sequence[TimelineRow]:
    query = select(TimelineRow).where(TimelineRow.seq > seq).order_by(TimelineRow.seq).limit(limit)
    return (await session.execute(query)).scalars().all()


async def last_seq(session: AsyncSession) -> int:
    return (await session.execute(select(func.max(TimelineRow.seq)))).scalar() or 0


# ---- the chain


async def first_broken_link(session: AsyncSession, table: str) -> int | None:
    """Number of the first row that was changed, or whose predecessor was removed or changed; None: all is as written.

    Rows that retention pruned leave no gap: the timeline is checked from the oldest row that is left. The audit is
    never pruned, and begins with its first row.
    """
    columns = ", ".join(f"'{name}'" for name in CHAINED[table])
    await session.execute(text("set local timezone to 'UTC'"))
    query = text(
        f"with linked as (select seq, prev_hash, hash, lag(hash) over (order by seq) as before, lag(seq) over "  # noqa: S608 - names of our own
        f"(order by seq) as before_seq, sha256(prev_hash || convert_to(chain_content(to_jsonb(t), array[{columns}]), "
        f"'UTF8')) as computed from {table} as t) select seq from linked where hash <> computed or "
        "(before is not null and (before <> prev_hash or before_seq <> seq - 1)) "
        "or (before is null and seq <> 1 and :begins_with_one) order by seq limit 1"
    )
    return (await session.execute(query, {"begins_with_one": table == "audit"})).scalar()


async def head(session: AsyncSession, table: str) -> str:
    """The newest link as `seq:hash`: kept elsewhere, it shows later whether rows were cut off at the end, or the whole
    chain was written anew. Empty while nothing was written."""
    query = text(f"select seq || ':' || encode(hash, 'hex') from {table} order by seq desc limit 1")  # noqa: S608
    return (await session.execute(query)).scalar() or ""


async def has_link(session: AsyncSession, table: str, link: str) -> bool:
    """Whether the chain still holds what once was its head."""
    query = text(f"select 1 from {table} where seq || ':' || encode(hash, 'hex') = :link")  # noqa: S608
    return (await session.execute(query, {"link": link})).scalar() is not None


async def prune(session: AsyncSession, older_than: datetime, batch: int = 10_000) -> int:
    """Deletes old entries and the states of cases that ended before; always keeps the newest entry of the chain."""
    await session.execute(text("set local homeostat.pruning to 'on'"))
    old = (
        select(TimelineRow.seq)
        .where(
            TimelineRow.recorded_at < older_than, TimelineRow.seq < select(func.max(TimelineRow.seq)).scalar_subquery()
        )
        .order_by(TimelineRow.seq)
        .limit(batch)
    )
    deleted = await session.execute(delete(TimelineRow).where(TimelineRow.seq.in_(old)))
    await session.execute(delete(LatestRow).where(LatestRow.at < older_than, LatestRow.status != "open"))
    return deleted.rowcount  # type: ignore[attr-defined, no-any-return]
