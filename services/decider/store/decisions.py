"""Decisions: one live decision a case, with its inputs and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.decider.domain.calibration import Foretold
from services.decider.domain.vocabulary import Reason, Verdict
from services.decider.store.models import DecisionRow


async def live(session: AsyncSession, case_id: UUID) -> DecisionRow | None:
    """The case's decision that isn't closed. The case's row must be locked."""
    statement = select(DecisionRow).where(DecisionRow.case_id == case_id, DecisionRow.closed_at.is_(None))
    return (await session.execute(statement, execution_options={"populate_existing": True})).scalar_one_or_none()


async def by_id(session: AsyncSession, decision_id: UUID) -> DecisionRow | None:
    return await session.get(DecisionRow, decision_id, populate_existing=True)


async def last_reason(session: AsyncSession, case_id: UUID) -> str | None:
    """Reason of the newest decision of a case."""
    statement = (
        select(DecisionRow.reason).where(DecisionRow.case_id == case_id).order_by(DecisionRow.ordinal.desc()).limit(1)
    )
    found: str | None = await session.scalar(statement)
    return found


async def asked_elsewhere(session: AsyncSession, components: Collection[str], but: UUID) -> dict[str, tuple[str, ...]]:
    """By component: the playbooks that other cases ask for."""
    rows = await session.execute(
        select(DecisionRow.component, DecisionRow.chosen_action).where(
            DecisionRow.component.in_(components),
            DecisionRow.verdict == Verdict.ASK.value,
            DecisionRow.closed_at.is_(None),
            DecisionRow.case_id != but,
        )
    )
    found: dict[str, set[str]] = {}
    for component, playbook in rows:
        if playbook is not None:
            found.setdefault(component, set()).add(playbook)
    return {component: tuple(sorted(playbooks)) for component, playbooks in found.items()}


def add(session: AsyncSession, row: DecisionRow) -> None:
    session.add(row)


async def newest(session: AsyncSession, limit: int) -> Sequence[DecisionRow]:
    """The decisions last made, newest first."""
    return (await session.scalars(select(DecisionRow).order_by(DecisionRow.created_at.desc()).limit(limit))).all()


async def of_homeostat(session: AsyncSession, limit: int) -> Sequence[DecisionRow]:
    """The newest that no person made or asked for, newest first."""
    query = (
        select(DecisionRow)
        .where(DecisionRow.decided_by == "homeostat", DecisionRow.decision_type != "request")
        .order_by(DecisionRow.created_at.desc())
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def foretold(session: AsyncSession, since: datetime, most: int = 10_000) -> list[Foretold]:
    """The newest runs that have ended since a time, oldest first."""
    query = (
        select(DecisionRow.expected_success, DecisionRow.helped)
        .where(
            DecisionRow.helped.is_not(None), DecisionRow.expected_success.is_not(None), DecisionRow.updated_at >= since
        )
        .order_by(DecisionRow.updated_at.desc())
        .limit(most)
    )
    rows = (await session.execute(query)).all()
    return [Foretold(float(row[0] or 0.0), bool(row[1])) for row in rows][::-1]


async def acted_alone(session: AsyncSession, since: datetime, most: int) -> Sequence[DecisionRow]:
    """Runs that Homeostat decided alone and whose end is known, the newest."""
    query = (
        select(DecisionRow)
        .where(DecisionRow.helped.is_not(None), DecisionRow.reason == Reason.ACT.value, DecisionRow.updated_at >= since)
        .order_by(DecisionRow.updated_at.desc())
        .limit(most)
    )
    return (await session.scalars(query)).all()
