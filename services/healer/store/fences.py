"""Which lease of a component is the newest, and which process carries out a run: asked before anything is touched."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.healer.store.models import Fence, Run
from services.healer.store.runs import QUEUED, RUNNING


async def raise_to(session: AsyncSession, component: str, epoch: int) -> None:
    """Notes a lease that was heard of; an older one changes nothing."""
    statement = insert(Fence).values(component=component, epoch=epoch)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Fence.component], set_={"epoch": func.greatest(Fence.epoch, statement.excluded.epoch)}
        )
    )


async def newest(session: AsyncSession, component: str) -> int:
    """0: none was heard of."""
    return await session.scalar(select(Fence.epoch).where(Fence.component == component)) or 0


async def take(session: AsyncSession, run_id: UUID, holder: str) -> None:
    """From now on `holder` carries out the run, and whoever did so before does not."""
    await session.execute(
        update(Run)
        .where(Run.id == run_id, Run.status.in_((QUEUED, RUNNING)))
        .values(holder=holder)
        .execution_options(synchronize_session=False)
    )


async def holder_of(session: AsyncSession, run_id: UUID) -> str:
    """Empty: nobody, or there is no such run."""
    return await session.scalar(select(Run.holder).where(Run.id == run_id)) or ""


async def held_by(session: AsyncSession, holder: str) -> list[Run]:
    """Runs under a lease that `holder` carries out now."""
    rows = await session.scalars(select(Run).where(Run.status == RUNNING, Run.holder == holder, Run.epoch > 0))
    return list(rows)
