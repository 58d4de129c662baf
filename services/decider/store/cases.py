"""Cases: taken one at a time, looked at when due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.decider.domain.life import State
from services.decider.domain.model import Case
from services.decider.domain.record import dump_case, load_case
from services.decider.domain.vocabulary import CaseKind
from services.decider.store.models import CaseRow, DecisionRow, GrantRow

LIVE = (State.OPEN.value, State.ASKING.value, State.SETTLED.value)


async def take(session: AsyncSession, new: Case, now: datetime) -> CaseRow:
    """The row of a case, made from `new` when it is the first that is heard of it; locked until the unit ends."""
    statement = (
        insert(CaseRow)
        .values(
            case_id=new.id,
            kind=new.kind.value,
            component=new.component,
            state=State.OPEN.value,
            is_open=new.is_open,
            incident_revision=0,
            source_revision=0,
            facts=dump_case(new),
            ordinal=1,
            tries=0,
            updated_at=now,
        )
        # changes nothing, but locks the row and gives it back
        .on_conflict_do_update(index_elements=[CaseRow.case_id], set_={"case_id": CaseRow.case_id})
        .returning(CaseRow)
    )
    return (await session.execute(statement, execution_options={"populate_existing": True})).scalar_one()


async def lock(session: AsyncSession, case_id: UUID) -> CaseRow | None:
    statement = select(CaseRow).where(CaseRow.case_id == case_id).with_for_update()
    return (await session.execute(statement, execution_options={"populate_existing": True})).scalar_one_or_none()


def facts_of(row: CaseRow) -> Case:
    return load_case(row.facts)


def keep(row: CaseRow, case: Case, now: datetime) -> None:
    """Writes the facts back; columns that queries need follow them."""
    row.facts, row.is_open, row.symptom_of, row.updated_at = dump_case(case), case.is_open, case.symptom_of, now


async def due(session: AsyncSession, now: datetime, limit: int) -> list[CaseRow]:
    """Cases to look at now, locked. Those that another replica is looking at are left to it."""
    rows = await session.execute(
        select(CaseRow)
        .where(CaseRow.next_at <= now, CaseRow.state.in_(LIVE))
        .order_by(CaseRow.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows.scalars())


async def wake_all(session: AsyncSession, now: datetime) -> int:
    """Every live case is looked at now; returns how many there are."""
    return await _wake(session, now, CaseRow.is_open.is_(True))


async def wake_components(session: AsyncSession, components: frozenset[str], now: datetime) -> int:
    """What waits on these components is looked at now, instead of after its pause."""
    return await _wake(session, now, CaseRow.component.in_(components), CaseRow.state == State.OPEN.value)


async def wake_symptoms_of(session: AsyncSession, case_id: UUID, now: datetime) -> int:
    return await _wake(session, now, CaseRow.symptom_of == case_id)


async def _wake(session: AsyncSession, now: datetime, *conditions: object) -> int:
    # A case that is locked is being decided now; it is looked at again in any case.
    statement = (
        select(CaseRow.case_id)
        .where(CaseRow.state.in_(LIVE), or_(CaseRow.next_at.is_(None), CaseRow.next_at > now), *conditions)  # type: ignore[arg-type]
        .with_for_update(skip_locked=True)
    )
    ids = (await session.execute(statement)).scalars().all()
    if ids:
        await session.execute(
            update(CaseRow)
            .where(CaseRow.case_id.in_(ids))
            .values(next_at=now)
            .execution_options(synchronize_session=False)
        )
    return len(ids)


async def with_open_incident(session: AsyncSession, components: Collection[str], but: UUID) -> frozenset[str]:
    """Those of the components that have an open incident other than this one."""
    found = await session.scalars(
        select(CaseRow.component).where(
            CaseRow.component.in_(components),
            CaseRow.kind == CaseKind.INCIDENT.value,
            CaseRow.is_open.is_(True),
            CaseRow.incident_revision > 0,
            CaseRow.case_id != but,
        )
    )
    return frozenset(found)


async def live_recoveries(session: AsyncSession, components: Collection[str]) -> list[CaseRow]:
    """Cases of these components' going back to a provider that wait to be decided or answered, locked; those in work
    are left out."""
    statement = (
        select(CaseRow)
        .where(CaseRow.component.in_(components), CaseRow.kind == CaseKind.RECOVERY.value, CaseRow.state.in_(LIVE))
        .with_for_update(skip_locked=True)
    )
    return list((await session.execute(statement)).scalars())


async def recoveries_of(session: AsyncSession, component: str, since: datetime) -> list[CaseRow]:
    """Cases of this component's going back to a provider that were touched since then."""
    statement = select(CaseRow).where(
        CaseRow.component == component, CaseRow.kind == CaseKind.RECOVERY.value, CaseRow.updated_at >= since
    )
    return list((await session.execute(statement)).scalars())


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets closed cases, their decisions and their grants."""
    old = select(CaseRow.case_id).where(CaseRow.state == State.CLOSED.value, CaseRow.updated_at < before)
    await session.execute(delete(DecisionRow).where(DecisionRow.case_id.in_(old), DecisionRow.created_at < before))
    await session.execute(delete(GrantRow).where(GrantRow.finished_at.is_not(None), GrantRow.granted_at < before))
    await session.execute(delete(CaseRow).where(CaseRow.state == State.CLOSED.value, CaseRow.updated_at < before))
