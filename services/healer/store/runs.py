"""Runs: admitted once, one at a time per component, finished once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.healer.store.models import Run, RunEvent

QUEUED, RUNNING = "queued", "running"
# Made once: building a statement costs more than executing it.
_SAY = insert(RunEvent).on_conflict_do_nothing().returning(RunEvent.key)


async def lock_component(session: AsyncSession, component: str) -> None:
    """Waits until nobody else starts a run on this component, or puts its files back; held until the commit."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"healer:{component}", 0))))


async def admit(session: AsyncSession, run: Run) -> bool:
    """Adds a run; False when this decision has been admitted before."""
    given = {column.key: getattr(run, column.key) for column in Run.__table__.columns}
    values = {key: value for key, value in given.items() if value is not None}  # the others get their defaults
    statement = insert(Run).values(values).on_conflict_do_nothing(index_elements=[Run.id]).returning(Run.id)
    return (await session.execute(statement)).first() is not None


async def activate(session: AsyncSession, run_id: UUID, component: str, now: datetime) -> bool:
    """Makes a queued run the running one of its component; False when another is running or was first in line."""
    await lock_component(session, component)
    other = aliased(Run)
    first = select(Run.created_at).where(Run.id == run_id).scalar_subquery()
    in_the_way = select(other.id).where(
        other.component == component,
        other.id != run_id,
        other.dry_run.is_(False),
        (other.status == RUNNING) | ((other.status == QUEUED) & (other.created_at < first)),
    )
    statement = (
        update(Run)
        .where(Run.id == run_id, Run.status == QUEUED, Run.dry_run | ~in_the_way.exists())
        .values(status=RUNNING, activated_at=now)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).first() is not None


async def active_on(session: AsyncSession, component: str) -> UUID | None:
    """The run that is changing this component now."""
    return await session.scalar(
        select(Run.id).where(Run.component == component, Run.status == RUNNING, Run.dry_run.is_(False))
    )


async def acted_on(session: AsyncSession, but: UUID, limit: int = 500) -> list[str]:
    """Components that runs other than this one are changing now; practice targets are nobody's."""
    real = Run.dry_run.is_(False) & Run.practice.is_(False)
    chosen = select(Run.component).where(Run.status == RUNNING, real, Run.id != but)
    return list((await session.scalars(chosen.order_by(Run.component).limit(limit))).all())


async def get(session: AsyncSession, run_id: UUID) -> Run | None:
    return await session.get(Run, run_id)


async def queued(session: AsyncSession, limit: int = 100) -> Sequence[Run]:
    """Runs that wait for their component, by component (so that locks are taken in one order) and first in line."""
    chosen = select(Run).where(Run.status == QUEUED, Run.practice.is_(False)).order_by(Run.component, Run.created_at)
    return (await session.scalars(chosen.limit(limit))).all()


async def not_started(session: AsyncSession, before: datetime, limit: int = 100) -> Sequence[Run]:
    """Running runs whose workflow had not begun at `before`: a crash came between the commit and the start."""
    due = _oldest(RUNNING).where(Run.started_at.is_(None), Run.activated_at < before)
    return (await session.scalars(due.limit(limit))).all()


async def active_since(session: AsyncSession, before: datetime, limit: int = 100) -> Sequence[Run]:
    """Running runs whose turn came before `before`."""
    return (await session.scalars(_oldest(RUNNING).where(Run.activated_at < before).limit(limit))).all()


def _oldest(status: str) -> Select[Run]:
    return select(Run).where(Run.status == status, Run.practice.is_(False)).order_by(Run.created_at)


async def begin(session: AsyncSession, run_id: UUID, now: datetime) -> tuple[datetime, float]:
    """Notes that the workflow has begun; returns when it did so first, and how long after its turn came, in seconds."""
    statement = (
        update(Run)
        .where(Run.id == run_id)
        .values(started_at=func.coalesce(Run.started_at, now))
        .returning(Run.started_at, Run.activated_at)
        .execution_options(synchronize_session=False)
    )
    started_at, activated_at = (await session.execute(statement)).one()
    began = started_at or now
    return began, (began - (activated_at or began)).total_seconds()


async def note_backup(session: AsyncSession, run_id: UUID, backup_id: str) -> None:
    await session.execute(update(Run).where(Run.id == run_id).values(backup_id=backup_id))


async def note_applied(session: AsyncSession, run_id: UUID, now: datetime, window: timedelta) -> datetime:
    """Notes that all steps are done and until when their effect is watched; returns when that was noted first."""
    statement = (
        update(Run)
        .where(Run.id == run_id)
        .values(applied_at=func.coalesce(Run.applied_at, now), deadline_at=func.coalesce(Run.deadline_at, now + window))
        .returning(Run.applied_at)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).scalar_one() or now


async def say(session: AsyncSession, event: RunEvent) -> bool:
    """Keeps what a run says; False when it has said so before."""
    values = {column.key: getattr(event, column.key) for column in RunEvent.__table__.columns}
    return (await session.execute(_SAY, values)).first() is not None


async def finish(
    session: AsyncSession,
    run_id: UUID,
    *,
    status: str,
    reason: str,
    actions: Sequence[str],
    error_count_after: int,
    now: datetime,
    resolution_time_ms: int,
) -> Run | None:
    """Ends a run; None when it has ended before."""
    statement = (
        update(Run)
        .where(Run.id == run_id, Run.status.in_((QUEUED, RUNNING)))
        .values(
            status=status,
            reason=reason,
            healing_actions=list(actions),
            error_count_after=error_count_after,
            resolved_at=now,
            resolution_time_ms=resolution_time_ms,
        )
        .returning(Run)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets runs that ended long ago, and what they said."""
    old = select(Run.id).where(Run.resolved_at < before)
    await session.execute(delete(RunEvent).where(RunEvent.run_id.in_(old)).execution_options(synchronize_session=False))
    await session.execute(delete(Run).where(Run.resolved_at < before).execution_options(synchronize_session=False))
