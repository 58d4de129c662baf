"""What was last published of each pair of signature and playbook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.knowledge import Known, Parameters, Run, Tally, known
from services.learner.store.tables import KnowledgeRow, OutcomeRow

NEWEST = 300
"""Runs of a pair that knowledge is made of; older ones only count in its totals."""


async def recount(
    session: AsyncSession, signature: str, playbook: str, now: datetime, parameters: Parameters
) -> tuple[Tally, KnowledgeRow, Known]:
    """Counts the attempts of a pair anew: (before, now, what its runs say). It must be this unit's turn."""
    row = await session.get(KnowledgeRow, (signature, playbook))
    if row is None:
        row = KnowledgeRow(signature=signature, playbook=playbook, runs=0, successes=0, by_kind={}, updated_at=now)
        session.add(row)
    before = row.tally()
    of_pair = (OutcomeRow.issue_type == signature, OutcomeRow.fix_type == playbook, OutcomeRow.attempted)
    counted = select(
        func.count(),
        func.count().filter(OutcomeRow.success),
        func.avg(OutcomeRow.recovery_s).filter(OutcomeRow.success),
    ).where(*of_pair)
    runs, successes, recovery_s = (await session.execute(counted)).one()
    newest = (
        select(OutcomeRow.timestamp, OutcomeRow.kind, OutcomeRow.success, OutcomeRow.recovery_s)
        .where(*of_pair)
        .order_by(OutcomeRow.timestamp.desc(), OutcomeRow.position.desc())
        .limit(NEWEST)
    )
    found = known([Run(*one) for one in (await session.execute(newest)).all()][::-1], parameters)
    row.runs, row.successes, row.updated_at = runs, successes, now
    row.mean_recovery_s = float(recovery_s) if recovery_s is not None else None
    row.by_kind = {kind: [one.runs, one.successes] for kind, one in found.by_kind.items()}
    row.typical_recovery_s = found.recovery.typical_s if found.recovery else None
    row.recovery_high_s = found.recovery.high_s if found.recovery else None
    row.changed_at = found.changed_at
    return before, row, found


async def newest(session: AsyncSession, since: datetime | None = None, most: int = 1_000) -> Sequence[KnowledgeRow]:
    """The pairs last counted, newest first."""
    query = select(KnowledgeRow).order_by(KnowledgeRow.updated_at.desc()).limit(most)
    if since is not None:
        query = query.where(KnowledgeRow.updated_at >= since)
    return (await session.scalars(query)).all()
