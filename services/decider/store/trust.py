"""Rights to act alone, people's words on decisions, the trial of what acting is worth, and counts of it all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.decider.domain.autonomy import Run
from services.decider.domain.credit import Observed
from services.decider.domain.vocabulary import FAILURES, CaseKind, Result, Verdict
from services.decider.store.models import AutonomyRow, DecisionRow, GrantRow, OverrideRow, TrialRow

MOST_RUNS = 1_000
ENDS = (*FAILURES, Result.SUCCEEDED)


def add(session: AsyncSession, row: AutonomyRow | OverrideRow) -> None:
    session.add(row)


# ---- rights to act alone


async def standings(session: AsyncSession, signatures: Collection[str] | None = None) -> Sequence[AutonomyRow]:
    """The newest of each playbook on each problem; of all problems unless some are named."""
    key = (AutonomyRow.pack, AutonomyRow.signature, AutonomyRow.playbook)
    query = select(AutonomyRow).ext(distinct_on(*key)).order_by(*key, AutonomyRow.at.desc())
    if signatures is not None:
        query = query.where(AutonomyRow.signature.in_(signatures))
    return (await session.scalars(query)).all()


async def runs(session: AsyncSession, pack: str, signature: str, playbook: str) -> list[Run]:
    """The newest runs of a playbook on a problem that have ended and say something of it, oldest first."""
    query = (
        select(GrantRow.finished_at, GrantRow.result)
        .where(
            GrantRow.pack == pack,
            GrantRow.signature == signature,
            GrantRow.playbook == playbook,
            GrantRow.result.in_([end.value for end in ENDS]),
        )
        .order_by(GrantRow.finished_at.desc())
        .limit(MOST_RUNS)
    )
    ended = (await session.execute(query)).all()
    return [Run(at, Result(result)) for at, result in ended if at is not None and result is not None][::-1]


# ---- people's words


async def words_on(session: AsyncSession, signatures: Collection[str]) -> dict[tuple[str, str], tuple[int, int]]:
    """By problem and playbook: how often people said no to it, and how often that it would have been right, where no
    run could tell."""
    if not signatures:
        return {}
    query = select(OverrideRow).where(OverrideRow.signature.in_(signatures), OverrideRow.helped.is_(None))
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in (await session.scalars(query)).all():
        if row.was_playbook is not None and (row.verdict != Verdict.EXECUTE.value or row.playbook != row.was_playbook):
            against, favour = found.get((row.signature, row.was_playbook), (0, 0))
            found[row.signature, row.was_playbook] = (against + 1, favour)
        if row.verdict == Verdict.EXECUTE.value and row.playbook is not None and not row.applied:
            against, favour = found.get((row.signature, row.playbook), (0, 0))
            found[row.signature, row.playbook] = (against, favour + 1)
    return found


# ---- the trial


async def enter(session: AsyncSession, row: dict[str, object]) -> None:
    """A case enters the trial once, with the arm that was drawn first."""
    await session.execute(insert(TrialRow).values(**row).on_conflict_do_nothing())


async def over(session: AsyncSession, case_id: UUID, at: datetime) -> None:
    """The case's trouble is over."""
    await session.execute(
        update(TrialRow).where(TrialRow.case_id == case_id, TrialRow.over_at.is_(None)).values(over_at=at)
    )


async def observed(session: AsyncSession, since: datetime, now: datetime, most: int = 20_000) -> list[Observed]:
    """Cases of the trial since a time, as far as their time to be looked at has passed; the newest."""
    query = select(TrialRow).where(TrialRow.decided_at >= since).order_by(TrialRow.decided_at.desc()).limit(most)
    found = []
    for row in (await session.scalars(query)).all():
        if (now - row.decided_at).total_seconds() >= row.for_s:
            over_s = (row.over_at - row.decided_at).total_seconds() if row.over_at else None
            in_time = over_s if over_s is not None and over_s <= row.for_s else None
            found.append(Observed(row.playbook, row.held, row.share, in_time))
    return found


# ---- counts


@dataclass(frozen=True, slots=True)
class Counts:
    """Decisions since a time. `alone`: made without a person; `called`: for action, people's own requests left out."""

    known: int
    right: int
    alone: int
    called: int
    requested: int


async def counts(session: AsyncSession, since: datetime) -> Counts:
    """What was decided, and how much of it was right, as far as it is known."""
    row, asked = DecisionRow, DecisionRow.reason.in_(("rejected", "expired"))
    overruled = select(OverrideRow.id).where(
        OverrideRow.decision_id == row.decision_id,
        or_(OverrideRow.helped.is_(False), and_(OverrideRow.helped.is_(None), OverrideRow.verdict != row.verdict)),
    )
    is_request = row.decision_type == CaseKind.REQUEST.value
    alone = and_(row.verdict == Verdict.EXECUTE.value, row.decided_by == "homeostat")
    known = and_(alone, or_(row.helped.is_not(None), overruled.exists()))
    called = and_(or_(row.verdict.in_((Verdict.EXECUTE.value, Verdict.ASK.value)), asked), ~is_request)
    query = select(
        func.count().filter(known),
        func.count().filter(known, row.helped.is_(True), ~overruled.exists()),
        func.count().filter(alone, ~is_request),
        func.count().filter(called),
        func.count().filter(is_request, row.verdict == Verdict.EXECUTE.value),
    ).where(row.created_at >= since, row.dry_run.is_(False))
    return Counts(*(await session.execute(query)).one())
