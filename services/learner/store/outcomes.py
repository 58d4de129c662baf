"""Outcomes: each run once, with what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.outcomes import Attempt
from services.learner.store.tables import OutcomeRow


async def add(session: AsyncSession, columns: dict[str, object]) -> bool:
    """Records a run; False when it was recorded before."""
    statement = insert(OutcomeRow).values(**columns).on_conflict_do_nothing().returning(OutcomeRow.decision_id)
    return (await session.execute(statement)).first() is not None


async def add_all(session: AsyncSession, rows: Sequence[dict[str, object]]) -> set[UUID]:
    """Records runs that were not known; gives the ids of those."""
    if not rows:
        return set()
    statement = insert(OutcomeRow).values(list(rows)).on_conflict_do_nothing().returning(OutcomeRow.decision_id)
    return set((await session.execute(statement)).scalars())


async def last_run(session: AsyncSession, case_id: UUID) -> OutcomeRow | None:
    """The newest run of a case: the one that a word on the case is about."""
    query = select(OutcomeRow).where(OutcomeRow.case_id == case_id).order_by(OutcomeRow.timestamp.desc()).limit(1)
    return (await session.scalars(query)).first()


async def set_label(session: AsyncSession, decision_id: UUID, label: bool) -> bool:
    """Whether the run helped, as somebody says who saw it; False: no such run is known yet."""
    statement = update(OutcomeRow).where(OutcomeRow.decision_id == decision_id).values(label=label, success=label)
    return (await session.execute(statement.returning(OutcomeRow.decision_id))).first() is not None


@dataclass(frozen=True, slots=True)
class FixCount:
    fix_type: str
    total: int
    successes: int
    mean_recovery_s: float | None
    last_updated: datetime


async def by_fix_type(session: AsyncSession, since: datetime) -> list[FixCount]:
    """Attempts by playbook since a time."""
    query = (
        select(
            OutcomeRow.fix_type,
            func.count(),
            func.count().filter(OutcomeRow.success),
            func.avg(OutcomeRow.recovery_s).filter(OutcomeRow.success),
            func.max(OutcomeRow.timestamp),
        )
        .where(OutcomeRow.attempted, OutcomeRow.timestamp >= since)
        .group_by(OutcomeRow.fix_type)
        .order_by(OutcomeRow.fix_type)
    )
    return [
        FixCount(fix_type, total, successes, float(recovery_s) if recovery_s is not None else None, last)
        for fix_type, total, successes, recovery_s, last in await session.execute(query)
    ]


async def attempts(session: AsyncSession, since: datetime, most: int = 10_000) -> list[Attempt]:
    """The newest real attempts since a time, oldest first."""
    query = (
        select(OutcomeRow.original_confidence, OutcomeRow.success)
        .where(OutcomeRow.attempted, OutcomeRow.timestamp >= since)
        .order_by(OutcomeRow.timestamp.desc(), OutcomeRow.position.desc())
        .limit(most)
    )
    found = [Attempt(confidence, success) for confidence, success in await session.execute(query)]
    return found[::-1]


async def page(session: AsyncSession, after: int, limit: int) -> Sequence[OutcomeRow]:
    query = select(OutcomeRow).where(OutcomeRow.position > after).order_by(OutcomeRow.position).limit(limit)
    return (await session.scalars(query)).all()


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets runs of before a time; knowledge is counted anew at each pair's next outcome."""
    await session.execute(delete(OutcomeRow).where(OutcomeRow.timestamp < before))
