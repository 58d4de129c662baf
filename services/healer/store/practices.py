"""Practices: one after another on a target, concluded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.healer.store.models import Json, PracticeRow, Run

ABORTED = "aborted"


def begin(session: AsyncSession, row: PracticeRow) -> None:
    """Adds a practice, which waits for its turn on its target."""
    session.add(row)


async def is_under_way(session: AsyncSession, pack: str, playbook: str) -> bool:
    """Whether a practice of this playbook waits, or is at work."""
    chosen = select(PracticeRow.id).where(
        PracticeRow.pack == pack, PracticeRow.playbook == playbook, PracticeRow.finished_at.is_(None)
    )
    return (await session.execute(chosen.limit(1))).first() is not None


async def conclude(
    session: AsyncSession,
    practice_id: UUID,
    *,
    verdict: str,
    reason: str,
    way_back: str | None,
    evidence: Sequence[Json],
    now: datetime,
) -> bool:
    """Ends a practice; False when it has ended before."""
    statement = (
        update(PracticeRow)
        .where(PracticeRow.id == practice_id, PracticeRow.finished_at.is_(None))
        .values(finished_at=now, verdict=verdict, reason=reason, way_back=way_back, evidence=list(evidence))
        .returning(PracticeRow.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).first() is not None


async def first_of_each_target(session: AsyncSession) -> Sequence[PracticeRow]:
    """Of what has not ended the oldest per target: a target is practised on by one playbook at a time."""
    chosen = select(PracticeRow).where(PracticeRow.finished_at.is_(None))
    found = await session.scalars(chosen.order_by(PracticeRow.started_at.desc(), PracticeRow.id.desc()))
    return list({row.target: row for row in found}.values())


async def newest(session: AsyncSession, playbook: str | None, limit: int) -> Sequence[PracticeRow]:
    chosen = select(PracticeRow) if playbook is None else select(PracticeRow).where(PracticeRow.playbook == playbook)
    return (await session.scalars(chosen.order_by(PracticeRow.started_at.desc()).limit(limit))).all()


async def last_of(session: AsyncSession, pack: str, playbook: str, spec_hash: str) -> PracticeRow | None:
    """The newest practice of a playbook as it is now, whatever came of it."""
    chosen = select(PracticeRow).where(
        PracticeRow.pack == pack, PracticeRow.playbook == playbook, PracticeRow.spec_hash == spec_hash
    )
    return await session.scalar(chosen.order_by(PracticeRow.started_at.desc()).limit(1))


async def any_run_on(session: AsyncSession, components: Iterable[str]) -> bool:
    """Whether a real run is under way or waiting on one of these."""
    chosen = select(Run.id).where(
        Run.component.in_(list(components)),
        Run.status.cast(Text).in_(("queued", "running")),
        Run.practice.is_(False),
        Run.dry_run.is_(False),
    )
    return (await session.execute(chosen.limit(1))).first() is not None


async def prune(session: AsyncSession, before: datetime) -> None:
    await session.execute(
        delete(PracticeRow).where(PracticeRow.finished_at < before).execution_options(synchronize_session=False)
    )
