"""What diagnoses turned out to be worth."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.store.models import (
    JudgementRow,
    LabelRow,
)

JUDGED_LIMIT = 5_000
"""Newest judgements that are learned from."""


async def hold_case(session: AsyncSession, case_id: UUID) -> None:
    """Until the unit of work ends nobody else judges this case or keeps a word on it."""
    await session.execute(select(func.pg_advisory_xact_lock(case_id.int & 0x7FFF_FFFF_FFFF_FFFF)))


async def add_judgement(session: AsyncSession, columns: dict[str, object]) -> bool:
    """False when this repair had been judged before."""
    statement = insert(JudgementRow).values(**columns).on_conflict_do_nothing().returning(JudgementRow.decision_id)
    return (await session.execute(statement)).first() is not None


async def keep_label(session: AsyncSession, case_id: UUID, success: bool, at: datetime) -> None:
    first = insert(LabelRow).values(case_id=case_id, success=success, at=at)
    await session.execute(
        first.on_conflict_do_update(
            index_elements=["case_id"], set_={"success": success, "at": at}, where=LabelRow.at <= at
        )
    )


async def label_since(session: AsyncSession, case_id: UUID, since: datetime) -> bool | None:
    """What was last said of a case after its repair."""
    return await session.scalar(select(LabelRow.success).where(LabelRow.case_id == case_id, LabelRow.at >= since))


async def refute(session: AsyncSession, case_id: UUID, before: datetime) -> bool:
    """The last repair of the case did not help after all; False when there is none that is said to have."""
    last = select(JudgementRow.decision_id).where(JudgementRow.case_id == case_id, JudgementRow.at <= before)
    decision_id = await session.scalar(last.order_by(JudgementRow.at.desc()).limit(1))
    if decision_id is None:
        return False
    statement = (
        update(JudgementRow)
        .where(JudgementRow.decision_id == decision_id, JudgementRow.correct)
        .values(correct=False, fix_s=None)
        .returning(JudgementRow.decision_id)
    )
    return (await session.execute(statement)).first() is not None


async def judgements(session: AsyncSession, since: datetime, most: int = JUDGED_LIMIT) -> list[JudgementRow]:
    """The newest judgements since a time."""
    rows = await session.scalars(
        select(JudgementRow).where(JudgementRow.at >= since).order_by(JudgementRow.at.desc()).limit(most)
    )
    return list(rows)


async def prune_experience(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(JudgementRow).where(JudgementRow.at < before))
    await session.execute(delete(LabelRow).where(LabelRow.at < before))
