"""Versions of the learner's models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.models import Example
from services.learner.store.tables import ModelRow, OutcomeRow

NEWEST = 5_000
"""Runs that models are fitted to and compared on."""


async def active(session: AsyncSession) -> dict[str, ModelRow]:
    """By type, the version in force."""
    return {row.model_type: row for row in await session.scalars(select(ModelRow).where(ModelRow.active))}


async def before(session: AsyncSession, row: ModelRow) -> ModelRow | None:
    """The version that was in force before this one."""
    query = (
        select(ModelRow)
        .where(ModelRow.model_type == row.model_type, ModelRow.model_version < row.model_version)
        .order_by(ModelRow.model_version.desc())
        .limit(1)
    )
    return (await session.scalars(query)).first()


async def put_in_force(
    session: AsyncSession,
    model_id: UUID,
    model_type: str,
    parameter: float,
    now: datetime,
    *,
    training_data: dict[str, Any],
    metrics: dict[str, Any],
    reason: str,
) -> ModelRow:
    """A new version, active from now on instead of the former."""
    last = await session.scalar(select(func.max(ModelRow.model_version)).where(ModelRow.model_type == model_type))
    await session.execute(
        update(ModelRow).where(ModelRow.model_type == model_type, ModelRow.active).values(active=False)
    )
    row = ModelRow(
        id=model_id,
        model_type=model_type,
        model_version=(last or 0) + 1,
        parameter=parameter,
        training_data=training_data,
        performance_metrics=metrics,
        active=True,
        deployed_at=now,
        created_at=now,
        reason=reason,
    )
    session.add(row)
    await session.flush()
    return row


async def newest(session: AsyncSession, limit: int) -> Sequence[ModelRow]:
    return (await session.scalars(select(ModelRow).order_by(ModelRow.created_at.desc()).limit(limit))).all()


async def examples(session: AsyncSession) -> list[Example]:
    """The newest real attempts, oldest first."""
    query = (
        select(OutcomeRow.issue_type, OutcomeRow.fix_type, OutcomeRow.kind, OutcomeRow.success, OutcomeRow.recovery_s)
        .where(OutcomeRow.attempted)
        .order_by(OutcomeRow.timestamp.desc(), OutcomeRow.position.desc())
        .limit(NEWEST)
    )
    found = [
        Example(f"{issue}\0{fix}", kind, success, recovery_s)
        for issue, fix, kind, success, recovery_s in await session.execute(query)
    ]
    return found[::-1]
