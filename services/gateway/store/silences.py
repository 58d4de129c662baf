"""Silences, in a bounded number of slots: one that is over leaves its slot to the next. The audit keeps the story."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.store.tables import SilenceRow

MOST = 200
_LOCK = 3_205_115


async def lock(session: AsyncSession) -> None:
    """One change of silences at a time."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def free_slot(session: AsyncSession, now: datetime) -> int | None:
    """A number for a new silence; None: there are as many as there may be."""
    taken = set((await session.scalars(select(SilenceRow.slot).where(SilenceRow.ends_at > now))).all())
    return next((slot for slot in range(1, MOST + 1) if slot not in taken), None)


async def put(session: AsyncSession, row: SilenceRow) -> None:
    """In its slot, in place of what is over there."""
    await session.merge(row)


async def live(session: AsyncSession, now: datetime) -> Sequence[SilenceRow]:
    """Those that hold now or will, the first to end first."""
    query = select(SilenceRow).where(SilenceRow.ends_at > now).order_by(SilenceRow.ends_at, SilenceRow.slot)
    return (await session.scalars(query)).all()


async def named(session: AsyncSession, silence_id: UUID, now: datetime) -> SilenceRow | None:
    return await session.scalar(select(SilenceRow).where(SilenceRow.id == silence_id, SilenceRow.ends_at > now))
