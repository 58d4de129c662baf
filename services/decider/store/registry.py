"""Versions of fitted models: the newest, the one in force, and the runs that they are made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.decider.domain.model import ConfidenceModel
from services.decider.domain.vocabulary import CaseKind
from services.decider.store.models import DecisionRow, ModelRow

CONFIDENCE = "confidence"
MOST_RUNS = 5_000


async def in_force(session: AsyncSession) -> ConfidenceModel:
    """The model of confidence that is active; the one that comes with Homeostat unless there is one."""
    row = await session.scalar(select(ModelRow).where(ModelRow.model_type == CONFIDENCE, ModelRow.active))
    return ConfidenceModel(**row.parameters) if row else ConfidenceModel()


async def versions(session: AsyncSession) -> Sequence[ModelRow]:
    """Newest first."""
    query = select(ModelRow).where(ModelRow.model_type == CONFIDENCE).order_by(ModelRow.model_version.desc())
    return (await session.scalars(query)).all()


async def next_version(session: AsyncSession) -> int:
    """Nobody else makes one until the unit ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("decider:models"))))
    return 1 + (await session.scalar(select(func.max(ModelRow.model_version))) or 0)


async def use(session: AsyncSession, row: ModelRow | None, now: datetime) -> None:
    """Puts a version in force, or with None the one that comes with Homeostat."""
    await session.execute(update(ModelRow).where(ModelRow.active).values(active=False))
    if row is not None:
        row.active, row.deployed_at = True, now
    await session.flush()


def add(session: AsyncSession, row: ModelRow) -> None:
    session.add(row)


async def runs(session: AsyncSession) -> Sequence[DecisionRow]:
    """Decisions on troubles whose run has ended, oldest first; the newest of them."""
    kinds = (CaseKind.INCIDENT.value, CaseKind.PREDICTION.value)
    query = (
        select(DecisionRow)
        .where(DecisionRow.helped.is_not(None), DecisionRow.decision_type.in_(kinds))
        .order_by(DecisionRow.updated_at.desc())
        .limit(MOST_RUNS)
    )
    return (await session.scalars(query)).all()[::-1]
