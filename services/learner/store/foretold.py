"""Predictions, and what became of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.foresight import Came, settled
from services.learner.store.tables import ForetoldRow

NEWEST = 200
STILL_MEANT = timedelta(days=1)
"""What ends so long before an incident of its series was not about it."""


async def save(session: AsyncSession, case_id: UUID, component: str, metric: str, came: Came, at: datetime) -> None:
    """What is known of a prediction now: of two things the one that says more."""
    first = insert(ForetoldRow).values(
        case_id=case_id, component=component, metric=metric, came=came.value, opened_at=at, updated_at=at
    )
    await session.execute(first.on_conflict_do_nothing())
    row = await session.get_one(ForetoldRow, case_id, populate_existing=True)
    row.came = settled(Came(row.came), came).value if row.came != Came.MISSED.value else row.came
    row.updated_at = max(row.updated_at, at)


async def find(session: AsyncSession, case_id: UUID) -> ForetoldRow | None:
    return await session.get(ForetoldRow, case_id)


async def about(session: AsyncSession, component: str, metrics: Collection[str], at: datetime) -> list[ForetoldRow]:
    """Predictions of these series that were open, or ended shortly before a time."""
    query = select(ForetoldRow).where(
        ForetoldRow.component == component,
        ForetoldRow.metric.in_(metrics),
        ForetoldRow.came != Came.MISSED.value,
        ForetoldRow.opened_at <= at,
        (ForetoldRow.came == Came.OPEN.value) | (ForetoldRow.updated_at >= at - STILL_MEANT),
    )
    return list((await session.scalars(query)).all())


async def came_of(session: AsyncSession, component: str, metric: str) -> list[Came]:
    """Of the newest of a series."""
    query = (
        select(ForetoldRow.came)
        .where(ForetoldRow.component == component, ForetoldRow.metric == metric)
        .order_by(ForetoldRow.opened_at.desc())
        .limit(NEWEST)
    )
    return [Came(one) for one in await session.scalars(query)]


async def series(session: AsyncSession, most: int = 1_000) -> list[tuple[str, str]]:
    """Component and metric of all that was foretold or missed."""
    query = select(ForetoldRow.component, ForetoldRow.metric).distinct().limit(most)
    return [(component, metric) for component, metric in await session.execute(query)]


async def prune(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(ForetoldRow).where(ForetoldRow.opened_at < before))
