"""Changes and anomalies that were told of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.domain import AnomalySeen, ChangeSeen
from services.diagnoser.store.models import (
    OPEN_LIMIT,
    AnomalyRow,
    ChangeRow,
)


async def add_change(session: AsyncSession, change_id: UUID, change: ChangeSeen) -> None:
    await session.execute(
        insert(ChangeRow)
        .values(
            change_id=change_id,
            component=change.component,
            kind=change.kind,
            summary=change.summary,
            ref=change.ref,
            at=change.at,
        )
        .on_conflict_do_nothing()
    )


async def changes_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[ChangeSeen]:
    rows = await session.execute(
        select(ChangeRow)
        .where(ChangeRow.component.in_(components), ChangeRow.at >= since)
        .order_by(ChangeRow.at.desc())
        .limit(OPEN_LIMIT)
    )
    return [ChangeSeen(row.component, row.kind, row.summary, row.at, row.ref) for row in rows.scalars()]


async def take_anomaly(session: AsyncSession, anomaly: AnomalySeen, at: datetime) -> None:
    """Keeps the newest of each series."""
    values = {
        "observed": anomaly.observed,
        "expected_low": anomaly.expected_low,
        "expected_high": anomaly.expected_high,
        "score": anomaly.score,
        "since": anomaly.since,
        "at": at,
    }
    statement = insert(AnomalyRow).values(component=anomaly.component, metric=anomaly.metric, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["component", "metric"], set_=values, where=AnomalyRow.at <= statement.excluded.at
        )
    )


async def anomalies_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[AnomalySeen]:
    rows = await session.execute(
        select(AnomalyRow)
        .where(AnomalyRow.component.in_(components), AnomalyRow.at >= since)
        .order_by(AnomalyRow.component, AnomalyRow.metric)
        .limit(OPEN_LIMIT)
    )
    return [
        AnomalySeen(r.component, r.metric, r.observed, r.expected_low, r.expected_high, r.score, r.since)
        for r in rows.scalars()
    ]
