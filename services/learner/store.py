"""The learner's tables: outcomes, decisions for context, what others say came of them, lessons and knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, Identity, Index, Numeric, String, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.learner.domain import Attempt, Tally
from shared.contracts.decider import Decision
from shared.contracts.ingest import ExternalOutcome
from shared.db import service_base

Base = service_base()


class OutcomeRow(Base):  # type: ignore[misc, valid-type]
    """One run, recorded once. `attempted` is false for dry runs and for what was skipped."""

    __tablename__ = "outcomes"
    __table_args__ = (Index("ix_outcomes_pair", "issue_type", "fix_type"),)

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    case_kind: Mapped[str] = mapped_column(String(16))
    timestamp: Mapped[datetime] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(String(64))
    issue_type: Mapped[str] = mapped_column(Text)
    fix_type: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(String(32))
    original_confidence: Mapped[float] = mapped_column(Float)
    result_status: Mapped[str] = mapped_column(String(16))
    validation_status: Mapped[str] = mapped_column(String(16))
    success: Mapped[bool]
    attempted: Mapped[bool]
    dry_run: Mapped[bool]
    error_count_after: Mapped[int]
    recovery_s: Mapped[float | None] = mapped_column(Float)
    label: Mapped[bool | None]
    """What somebody who saw it says; counts before the validation."""


class DecisionRow(Base):  # type: ignore[misc, valid-type]
    """A decision at its newest revision, with whether a person was asked and what they said."""

    __tablename__ = "decisions"

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    revision: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(16))
    playbook: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float] = mapped_column(Float)
    decided_by: Mapped[str] = mapped_column(String(200))
    asked: Mapped[bool]
    answer: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(index=True)


class LabelRow(Base):  # type: ignore[misc, valid-type]
    """The newest word from outside on a case, kept because it may come before the outcome."""

    __tablename__ = "external_labels"

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    success: Mapped[bool]
    comment: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(index=True)


class FeedbackRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "learning_feedback"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    decision_id: Mapped[UUID] = mapped_column(index=True)
    outcome_quality: Mapped[Decimal] = mapped_column(Numeric(3, 2))
    feedback_type: Mapped[str] = mapped_column(String(50))
    lessons_learned: Mapped[str] = mapped_column(Text)
    model_adjustments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(index=True)


class KnowledgeRow(Base):  # type: ignore[misc, valid-type]
    """What was last published of a pair; its lock keeps two replicas from counting at once."""

    __tablename__ = "knowledge"

    signature: Mapped[str] = mapped_column(Text, primary_key=True)
    playbook: Mapped[str] = mapped_column(Text, primary_key=True)
    runs: Mapped[int]
    successes: Mapped[int]
    mean_recovery_s: Mapped[float | None] = mapped_column(Float)
    updated_at: Mapped[datetime] = mapped_column(index=True)

    def tally(self) -> Tally:
        return Tally(self.runs, self.successes, self.mean_recovery_s)


async def hold_case(session: AsyncSession, case_id: UUID) -> None:
    """Until the unit of work ends nobody else records an outcome of this case or a word on it."""
    await session.execute(select(func.pg_advisory_xact_lock(case_id.int & 0x7FFF_FFFF_FFFF_FFFF)))


async def add_outcome(session: AsyncSession, columns: dict[str, object]) -> bool:
    """Records a run; False when it was recorded before."""
    statement = insert(OutcomeRow).values(**columns).on_conflict_do_nothing().returning(OutcomeRow.decision_id)
    return (await session.execute(statement)).first() is not None


async def save_decision(session: AsyncSession, decision: Decision, *, asked: bool, answer: str) -> bool:
    """A decision; False for an older revision than is known. That a person was asked is not forgotten."""
    columns: dict[str, object] = {
        "revision": decision.revision,
        "verdict": decision.verdict.value,
        "playbook": decision.plan.playbook if decision.plan else "",
        "signature": decision.signature,
        "confidence": decision.confidence,
        "decided_by": decision.decided_by[:200],
        "at": decision.at,
    }
    first = insert(DecisionRow).values(
        decision_id=decision.decision_id, case_id=decision.case_id, asked=asked, answer=answer, **columns
    )
    columns |= {"asked": DecisionRow.asked | first.excluded.asked, "answer": answer}
    statement = first.on_conflict_do_update(
        index_elements=[DecisionRow.decision_id], set_=columns, where=DecisionRow.revision < decision.revision
    ).returning(DecisionRow.decision_id)
    return (await session.execute(statement)).first() is not None


async def save_label(session: AsyncSession, event: ExternalOutcome) -> None:
    """What was last said of a case."""
    first = insert(LabelRow).values(case_id=event.case_id, success=event.success, comment=event.comment, at=event.at)
    await session.execute(
        first.on_conflict_do_update(
            index_elements=[LabelRow.case_id],
            set_={"success": event.success, "comment": event.comment, "at": event.at},
            where=LabelRow.at <= event.at,
        )
    )


async def label_of(session: AsyncSession, case_id: UUID) -> LabelRow | None:
    return await session.get(LabelRow, case_id)


async def last_run(session: AsyncSession, case_id: UUID) -> OutcomeRow | None:
    """The newest run of a case: the one that a word on the case is about."""
    query = select(OutcomeRow).where(OutcomeRow.case_id == case_id).order_by(OutcomeRow.timestamp.desc()).limit(1)
    return (await session.scalars(query)).first()


async def set_label(session: AsyncSession, decision_id: UUID, label: bool) -> None:
    await session.execute(
        update(OutcomeRow).where(OutcomeRow.decision_id == decision_id).values(label=label, success=label)
    )


async def add_feedback(session: AsyncSession, columns: dict[str, object]) -> None:
    await session.execute(insert(FeedbackRow).values(**columns).on_conflict_do_nothing())


async def recount(session: AsyncSession, signature: str, playbook: str, now: datetime) -> tuple[Tally, Tally]:
    """Counts the attempts of a pair anew: (before, now). Holds the pair until the unit of work ends."""
    nothing = insert(KnowledgeRow).values(
        signature=signature, playbook=playbook, runs=0, successes=0, mean_recovery_s=None, updated_at=now
    )
    await session.execute(nothing.on_conflict_do_nothing())
    known = select(KnowledgeRow).where(KnowledgeRow.signature == signature, KnowledgeRow.playbook == playbook)
    row = (await session.scalars(known.with_for_update().execution_options(populate_existing=True))).one()
    before = row.tally()
    counted = select(
        func.count(),
        func.count().filter(OutcomeRow.success),
        func.avg(OutcomeRow.recovery_s).filter(OutcomeRow.success),
    ).where(OutcomeRow.issue_type == signature, OutcomeRow.fix_type == playbook, OutcomeRow.attempted)
    runs, successes, recovery_s = (await session.execute(counted)).one()
    row.runs, row.successes, row.updated_at = runs, successes, now
    row.mean_recovery_s = float(recovery_s) if recovery_s is not None else None
    return before, row.tally()


async def knowledge(session: AsyncSession, since: datetime | None = None, most: int = 1_000) -> Sequence[KnowledgeRow]:
    """The pairs last counted, newest first."""
    query = select(KnowledgeRow).order_by(KnowledgeRow.updated_at.desc()).limit(most)
    if since is not None:
        query = query.where(KnowledgeRow.updated_at >= since)
    return (await session.scalars(query)).all()


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


async def answers(session: AsyncSession, since: datetime) -> tuple[int, dict[str, int]]:
    """How many decisions asked a person, and the answers."""
    query = (
        select(DecisionRow.answer, func.count())
        .where(DecisionRow.asked, DecisionRow.at >= since)
        .group_by(DecisionRow.answer)
    )
    counts = {answer: count for answer, count in await session.execute(query)}  # noqa: C416 - a Row is no pair to mypy
    return sum(counts.values()), counts


async def page(session: AsyncSession, after: int, limit: int) -> Sequence[OutcomeRow]:
    query = select(OutcomeRow).where(OutcomeRow.position > after).order_by(OutcomeRow.position).limit(limit)
    return (await session.scalars(query)).all()


async def newest_feedback(session: AsyncSession, limit: int) -> Sequence[FeedbackRow]:
    query = select(FeedbackRow).order_by(FeedbackRow.created_at.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets what is older than a time; knowledge is counted anew at each pair's next outcome."""
    await session.execute(delete(OutcomeRow).where(OutcomeRow.timestamp < before))
    await session.execute(delete(DecisionRow).where(DecisionRow.at < before))
    await session.execute(delete(LabelRow).where(LabelRow.at < before))
    await session.execute(delete(FeedbackRow).where(FeedbackRow.created_at < before))
