"""What the healer has heard of incidents and predictions: the newest revision of each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.healer.domain.goodness import Trouble
from services.healer.store.models import CaseState


async def note(session: AsyncSession, state: CaseState) -> None:
    """Keeps a revision unless a newer one is known: events may arrive out of order."""
    values = {column.key: getattr(state, column.key) for column in CaseState.__table__.columns}
    statement = insert(CaseState).values(values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[CaseState.case_id], set_=values, where=CaseState.revision < statement.excluded.revision
        )
    )


async def get(session: AsyncSession, case_id: UUID) -> CaseState | None:
    return await session.get(CaseState, case_id, populate_existing=True)


async def any_open(session: AsyncSession, component: str, kind: str) -> bool:
    """Whether an open case of this kind was seen at the component."""
    found = select(CaseState.case_id).where(CaseState.component == component, CaseState.kind == kind, CaseState.is_open)
    return (await session.execute(found.limit(1))).first() is not None


async def last_trouble(session: AsyncSession, components: Iterable[str], now: datetime) -> dict[str, Trouble]:
    """Of each component that had incidents: when the newest began, and `now` while one is open, else the last end."""
    ended = func.coalesce(CaseState.closed_at, CaseState.updated_at)
    rows = await session.execute(
        select(
            CaseState.component,
            func.max(func.coalesce(CaseState.opened_at, CaseState.updated_at)),
            func.bool_or(CaseState.is_open),
            func.max(ended),
        )
        .where(CaseState.component.in_(list(components)), CaseState.kind == "incident")
        .group_by(CaseState.component)
    )
    return {component: Trouble(began, now if is_open else over) for component, began, is_open, over in rows}


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets cases that closed long ago."""
    await session.execute(delete(CaseState).where(CaseState.is_open.is_(False), CaseState.updated_at < before))
