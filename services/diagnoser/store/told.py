"""Diagnoses that were told."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.store.models import (
    DiagnosisRow,
)


async def last_told(session: AsyncSession, incident_id: UUID) -> DiagnosisRow | None:
    rows = await session.execute(
        select(DiagnosisRow)
        .where(DiagnosisRow.incident_id == incident_id)
        .order_by(DiagnosisRow.revision.desc())
        .limit(1)
    )
    return rows.scalar_one_or_none()


async def told_before(session: AsyncSession, incident_id: UUID, at: datetime) -> DiagnosisRow | None:
    """The diagnosis that was in force when a repair began; the first one if clocks disagree."""
    rows = await session.execute(
        select(DiagnosisRow)
        .where(DiagnosisRow.incident_id == incident_id)
        .order_by((DiagnosisRow.created_at <= at).desc(), func.abs(func.extract("epoch", DiagnosisRow.created_at - at)))
        .limit(1)
    )
    return rows.scalar_one_or_none()


def add_diagnosis(session: AsyncSession, row: DiagnosisRow) -> None:
    session.add(row)
