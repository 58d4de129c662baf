"""Thresholds that were changed as the learner proposed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.store.tables import ThresholdChangeRow


async def newest(session: AsyncSession, limit: int) -> Sequence[ThresholdChangeRow]:
    """Newest first."""
    query = select(ThresholdChangeRow).order_by(ThresholdChangeRow.applied_at.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def in_force(session: AsyncSession, proposal_id: UUID) -> ThresholdChangeRow | None:
    """The change that came of a proposal and was not undone."""
    query = (
        select(ThresholdChangeRow)
        .where(ThresholdChangeRow.proposal_id == proposal_id, ThresholdChangeRow.undone_at.is_(None))
        .order_by(ThresholdChangeRow.applied_at.desc())
        .limit(1)
    )
    return (await session.scalars(query)).first()


async def held(session: AsyncSession, change_id: UUID) -> ThresholdChangeRow | None:
    """One change, until the unit ends nobody else's."""
    return await session.get(ThresholdChangeRow, change_id, with_for_update=True)


def add(session: AsyncSession, row: ThresholdChangeRow) -> None:
    session.add(row)
