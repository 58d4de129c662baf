"""Notices: written with the event that they tell of, claimed by one replica at a time, kept with their end."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.store.tables import NoticeRow, SlackClickRow, table_of

WAITING, SENDING, SENT, FAILED, DROPPED = "waiting", "sending", "sent", "failed", "dropped"
CLAIMED = 500


async def add(session: AsyncSession, rows: Sequence[dict[str, object]]) -> None:
    """Once for each event and channel, however often it is told."""
    statement = upsert(table_of(NoticeRow)).on_conflict_do_nothing()
    await session.execute(statement, list(rows))


async def due_channels(session: AsyncSession, now: datetime) -> list[tuple[str, str]]:
    """(pack, channel) pairs on which something waits, or was left behind by a crash while it was sent."""
    query = select(NoticeRow.pack, NoticeRow.channel).where(
        NoticeRow.state.in_((WAITING, SENDING)), NoticeRow.due_at <= now
    )
    return [(pack, channel) for pack, channel in (await session.execute(query.distinct())).all()]


async def lock(session: AsyncSession, pack: str, channel: str) -> bool:
    """One replica at a time plans a channel. False: another one does."""
    key = zlib.crc32(f"homeostat:notice:{pack}/{channel}".encode())
    return bool((await session.execute(select(func.pg_try_advisory_xact_lock(key)))).scalar_one())


async def waiting(session: AsyncSession, pack: str, channel: str, now: datetime) -> Sequence[NoticeRow]:
    """What waits on a channel, oldest first; what a crash left in sending waits again."""
    mine = (NoticeRow.pack == pack, NoticeRow.channel == channel)
    left = update(NoticeRow).where(*mine, NoticeRow.state == SENDING, NoticeRow.due_at <= now)
    await session.execute(left.values(state=WAITING))
    query = select(NoticeRow).where(*mine, NoticeRow.state == WAITING).order_by(NoticeRow.created_at, NoticeRow.id)
    return (await session.scalars(query.limit(CLAIMED))).all()


async def sent_since(session: AsyncSession, pack: str, channel: str, since: datetime) -> int:
    """Messages sent, or on their way; notices that went out together are one."""
    query = select(func.count(NoticeRow.batch.distinct())).where(
        NoticeRow.pack == pack,
        NoticeRow.channel == channel,
        or_(NoticeRow.sent_at > since, NoticeRow.state == SENDING),
    )
    return int((await session.execute(query)).scalar_one())


async def claim(session: AsyncSession, ids: Collection[UUID], batch: UUID, until: datetime) -> None:
    statement = update(NoticeRow).where(NoticeRow.id.in_(ids))
    await session.execute(statement.values(state=SENDING, batch=batch, due_at=until, attempts=NoticeRow.attempts + 1))


async def drop(session: AsyncSession, ids: Collection[UUID], why: str) -> None:
    await session.execute(update(NoticeRow).where(NoticeRow.id.in_(ids)).values(state=DROPPED, error=why))


async def settle(
    session: AsyncSession,
    batch: UUID,
    state: str,
    *,
    due_at: datetime,
    error: str = "",
    sent_at: datetime | None = None,
) -> None:
    """What became of a message."""
    statement = update(NoticeRow).where(NoticeRow.batch == batch, NoticeRow.state == SENDING)
    await session.execute(statement.values(state=state, due_at=due_at, error=error, sent_at=sent_at))


async def newest(session: AsyncSession, state: str | None, limit: int) -> Sequence[NoticeRow]:
    query = select(NoticeRow).order_by(NoticeRow.created_at.desc(), NoticeRow.id).limit(limit)
    if state is not None:
        query = query.where(NoticeRow.state == state)
    return (await session.scalars(query)).all()


async def named(session: AsyncSession, notice_id: UUID) -> NoticeRow | None:
    return await session.get(NoticeRow, notice_id, populate_existing=True)


async def again(session: AsyncSession, notice_id: UUID, now: datetime) -> bool:
    """Sends what was given up once more. False: there is no such notice that was given up."""
    statement = update(NoticeRow).where(NoticeRow.id == notice_id, NoticeRow.state == FAILED)
    changed = await session.execute(
        statement.values(state=WAITING, due_at=now, attempts=0, error="").returning(NoticeRow.id)
    )
    return changed.first() is not None


async def count_waiting(session: AsyncSession) -> int:
    query = select(func.count()).where(NoticeRow.state.in_((WAITING, SENDING)))
    return int((await session.execute(query)).scalar_one())


async def first_click(session: AsyncSession, signature: str, now: datetime) -> bool:
    """Whether this request of Slack's is heard for the first time."""
    statement = upsert(SlackClickRow).values(signature=signature, at=now).on_conflict_do_nothing()
    return (await session.execute(statement.returning(SlackClickRow.signature))).first() is not None


async def prune(session: AsyncSession, older_than: datetime, now: datetime) -> None:
    ended = NoticeRow.state.in_((SENT, FAILED, DROPPED))
    await session.execute(delete(NoticeRow).where(ended, NoticeRow.created_at < older_than))
    await session.execute(delete(SlackClickRow).where(SlackClickRow.at < now - timedelta(hours=1)))
