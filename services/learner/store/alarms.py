"""Incidents as alarms: heard of, over, judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.alarms import Alarm, Judged, Why
from services.learner.store.tables import AlarmRow, DecisionRow, LabelRow, OutcomeRow, OverrideRow
from shared.contracts.detector import Incident

NEWEST = 200
"""Alarms of one pattern on one component that its record is made of."""


async def save(session: AsyncSession, incident: Incident, budget: float | None, *, by_a_person: bool) -> None:
    """The newest revision of an incident; one that opens again is judged anew when it is over."""
    first = insert(AlarmRow).values(
        case_id=incident.case_id,
        revision=incident.revision,
        component=incident.component,
        pattern=incident.pattern,
        opened_at=incident.opened_at,
        resolved_at=incident.resolved_at,
        silenced=by_a_person,
        budget_at_first=budget,
        budget_spent=0.0,
        judged="",
        why="",
    )
    spent = AlarmRow.budget_at_first - budget if budget is not None else None
    columns: dict[str, object] = {
        "revision": incident.revision,
        "resolved_at": incident.resolved_at,
        "silenced": AlarmRow.silenced | by_a_person,
        "judged": "",
        "why": "",
    }
    if spent is not None:
        columns["budget_spent"] = case((spent > AlarmRow.budget_spent, spent), else_=AlarmRow.budget_spent)
    await session.execute(
        first.on_conflict_do_update(
            index_elements=[AlarmRow.case_id], set_=columns, where=AlarmRow.revision < incident.revision
        )
    )


async def over_since(session: AsyncSession, before: datetime, most: int = 200) -> Sequence[AlarmRow]:
    """Alarms that were over at a time and are not judged yet."""
    query = (
        select(AlarmRow)
        .where(AlarmRow.judged == "", AlarmRow.resolved_at.is_not(None), AlarmRow.resolved_at <= before)
        .order_by(AlarmRow.resolved_at)
        .limit(most)
    )
    return (await session.scalars(query)).all()


async def signs(session: AsyncSession, row: AlarmRow) -> Alarm:
    """Everything that says whether it was worth having."""
    of_case = OutcomeRow.case_id == row.case_id
    runs = select(
        func.coalesce(func.bool_or(OutcomeRow.success & OutcomeRow.attempted), False),
        func.coalesce(func.bool_or(OutcomeRow.attempted), False),
    ).where(of_case)
    repaired, tried = (await session.execute(runs)).one()
    answered = select(
        exists().where(DecisionRow.case_id == row.case_id, DecisionRow.answer == "approved"),
        exists().where(DecisionRow.case_id == row.case_id, DecisionRow.answer == "rejected"),
    )
    approved, rejected = (await session.execute(answered)).one()
    overruled = select(
        exists().where(OverrideRow.case_id == row.case_id, ~OverrideRow.refused),
        exists().where(OverrideRow.case_id == row.case_id, OverrideRow.refused),
    )
    wanted, refused = (await session.execute(overruled)).one()
    label = await session.get(LabelRow, row.case_id)
    assert row.resolved_at is not None
    return Alarm(
        lasted_s=(row.resolved_at - row.opened_at).total_seconds(),
        repaired=repaired,
        tried=tried,
        approved=approved or wanted,
        rejected=rejected or refused,
        silenced=row.silenced,
        budget_spent=row.budget_spent,
        said=label.success if label is not None else None,
    )


async def set_judged(session: AsyncSession, case_id: UUID, judged: Judged, why: Why) -> None:
    await session.execute(
        update(AlarmRow).where(AlarmRow.case_id == case_id).values(judged=judged.value, why=why.value)
    )


async def judged_of(session: AsyncSession, component: str, pattern: str) -> list[Judged]:
    """How the newest alarms of a pattern on a component were judged."""
    query = (
        select(AlarmRow.judged)
        .where(AlarmRow.component == component, AlarmRow.pattern == pattern, AlarmRow.judged != "")
        .order_by(AlarmRow.opened_at.desc())
        .limit(NEWEST)
    )
    return [Judged(one) for one in await session.scalars(query)]


async def series(session: AsyncSession, most: int = 1_000) -> list[tuple[str, str]]:
    """Component and pattern of all that was judged."""
    query = select(AlarmRow.component, AlarmRow.pattern).where(AlarmRow.judged != "").distinct().limit(most)
    return [(component, pattern) for component, pattern in await session.execute(query)]


async def prune(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(AlarmRow).where(AlarmRow.opened_at < before))
