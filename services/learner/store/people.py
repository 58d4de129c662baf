"""What was decided, what people answered and saw, and the lessons of it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.learner.domain.suggestions import Answer, Suggestion
from services.learner.domain.thresholds import Gated
from services.learner.store.tables import DecisionRow, FeedbackRow, LabelRow, OutcomeRow, OverrideRow
from shared.contracts.decider import Decision, Verdict
from shared.contracts.decider_governance import Overridden
from shared.contracts.ingest import ExternalOutcome

GATED = ("act", "below-threshold")
"""Reasons of decisions that nothing but the threshold decided."""


async def save_decision(session: AsyncSession, decision: Decision, *, asked: bool, answer: str) -> bool:
    """A decision; False for an older revision than is known. That a person was asked, and what they said, is not
    forgotten; a question that ends without an answer was withdrawn."""
    columns: dict[str, object] = {
        "revision": decision.revision,
        "verdict": decision.verdict.value,
        "playbook": decision.plan.playbook if decision.plan else "",
        "signature": decision.signature,
        "confidence": decision.confidence,
        "decided_by": decision.decided_by[:200],
        "at": decision.at,
        "pack": decision.plan.pack if decision.plan else "",
        "threshold": decision.threshold,
    }
    gated = decision.reason in GATED and decision.plan is not None and not decision.dry_run
    first = insert(DecisionRow).values(
        decision_id=decision.decision_id,
        case_id=decision.case_id,
        case_kind=decision.case_kind.value,
        asked=asked,
        answer=answer,
        gated=gated,
        first_at=decision.at,
        answered_at=decision.at if answer else None,
        **columns,
    )
    withdrawn = DecisionRow.asked & (DecisionRow.answer == "") & (not asked)
    columns |= {
        "asked": DecisionRow.asked | first.excluded.asked,
        "gated": DecisionRow.gated | first.excluded.gated,
        "answer": answer if answer or asked else case((withdrawn, Answer.WITHDRAWN.value), else_=DecisionRow.answer),
        "answered_at": decision.at if answer else DecisionRow.answered_at,
    }
    statement = first.on_conflict_do_update(
        index_elements=[DecisionRow.decision_id], set_=columns, where=DecisionRow.revision < decision.revision
    ).returning(DecisionRow.decision_id)
    if (await session.execute(statement)).first() is not None:
        return True
    await _add_question(session, decision, asked=asked, gated=gated)
    return False


async def _add_question(session: AsyncSession, decision: Decision, *, asked: bool, gated: bool) -> None:
    """What an older revision adds that another replica heard of too late: that a person was asked, and when."""
    unanswered = and_(literal(asked), DecisionRow.answer == "", DecisionRow.verdict != Verdict.ASK.value)
    columns: dict[str, object] = {
        "asked": DecisionRow.asked | asked,
        "gated": DecisionRow.gated | gated,
        "first_at": func.least(DecisionRow.first_at, decision.at),
        "answer": case((unanswered, Answer.WITHDRAWN.value), else_=DecisionRow.answer),
    }
    older = (DecisionRow.decision_id == decision.decision_id, DecisionRow.revision > decision.revision)
    await session.execute(update(DecisionRow).where(*older).values(columns))


@dataclass(frozen=True, slots=True)
class OfPlaybook:
    """The gated decisions of a playbook of a pack."""

    pack: str
    playbook: str
    decisions: list[Gated]


async def gated(session: AsyncSession, since: datetime, most: int = 20_000) -> list[OfPlaybook]:
    """By pack and playbook: decisions that only the threshold decided, with whether they were right."""
    query = (
        select(
            DecisionRow.pack,
            DecisionRow.playbook,
            DecisionRow.confidence,
            DecisionRow.answer,
            OutcomeRow.success,
            OutcomeRow.attempted,
            OverrideRow.refused,
        )
        .outerjoin(OutcomeRow, OutcomeRow.decision_id == DecisionRow.decision_id)
        .outerjoin(OverrideRow, OverrideRow.decision_id == DecisionRow.decision_id)
        .where(DecisionRow.gated, DecisionRow.at >= since, DecisionRow.pack != "")
        .order_by(DecisionRow.at.desc())
        .limit(most)
    )
    found: dict[tuple[str, str], list[Gated]] = {}
    for pack, playbook, confidence, answer, success, attempted, overruled in await session.execute(query):
        refused = answer == Answer.REJECTED.value or overruled
        right = bool(success) if attempted else (False if refused else None)
        found.setdefault((pack, playbook), []).append(Gated(confidence, right))
    return [OfPlaybook(pack, playbook, decisions) for (pack, playbook), decisions in sorted(found.items())]


async def suggestions(session: AsyncSession, since: datetime, most: int = 20_000) -> list[Suggestion]:
    """What was to be done since a time: asked of a person, or done without."""
    query = (
        select(DecisionRow, OutcomeRow.success, OutcomeRow.attempted, OverrideRow.refused, OverrideRow.by)
        .outerjoin(OutcomeRow, OutcomeRow.decision_id == DecisionRow.decision_id)
        .outerjoin(OverrideRow, OverrideRow.decision_id == DecisionRow.decision_id)
        .where(
            DecisionRow.at >= since, DecisionRow.playbook != "", DecisionRow.asked | (DecisionRow.verdict == "execute")
        )
        .order_by(DecisionRow.at.desc())
        .limit(most)
    )
    found = []
    for row, success, attempted, overruled, overruled_by in await session.execute(query):
        took = row.answered_at - row.first_at if row.asked and row.answered_at and row.first_at else None
        by_person = row.answer in (Answer.APPROVED.value, Answer.REJECTED.value)
        answer = Answer.REJECTED if overruled and row.answer == "" else Answer(row.answer)
        found.append(
            Suggestion(
                kind=row.case_kind,
                playbook=row.playbook,
                asked=row.asked,
                answer=answer,
                by=row.decided_by if by_person else (overruled_by or ""),
                done=row.verdict == Verdict.EXECUTE.value,
                helped=bool(success) if attempted else None,
                answer_s=took.total_seconds() if took is not None and by_person else None,
            )
        )
    return found


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


async def save_override(session: AsyncSession, event: Overridden, *, refused: bool) -> None:
    """What was last said of a decision; what was said of its run isn't forgotten."""
    first = insert(OverrideRow).values(
        decision_id=event.decision_id,
        case_id=event.case_id,
        refused=refused,
        helped=event.helped,
        by=event.by,
        at=event.at,
    )
    newest = {"refused": refused, "by": event.by, "at": event.at}
    await session.execute(
        first.on_conflict_do_update(
            index_elements=[OverrideRow.decision_id],
            set_=newest | {"helped": func.coalesce(first.excluded.helped, OverrideRow.helped)},
            where=OverrideRow.at <= event.at,
        )
    )


async def said_of(session: AsyncSession, decision_id: UUID) -> bool | None:
    """What a person who overruled a decision says of its run; None: nothing."""
    return await session.scalar(select(OverrideRow.helped).where(OverrideRow.decision_id == decision_id))


async def answers(session: AsyncSession, since: datetime) -> tuple[int, dict[str, int]]:
    """How many decisions asked a person, and the answers."""
    query = (
        select(DecisionRow.answer, func.count())
        .where(DecisionRow.asked, DecisionRow.at >= since)
        .group_by(DecisionRow.answer)
    )
    counts = {answer: count for answer, count in await session.execute(query)}  # noqa: C416 - a Row is no pair to mypy
    return sum(counts.values()), counts


async def add_feedback(session: AsyncSession, columns: dict[str, object]) -> None:
    await session.execute(insert(FeedbackRow).values(**columns).on_conflict_do_nothing())


async def newest_feedback(session: AsyncSession, limit: int, decision_id: UUID | None) -> Sequence[FeedbackRow]:
    """Lessons, newest first; only of one decision if that is given."""
    query = select(FeedbackRow).order_by(FeedbackRow.created_at.desc()).limit(limit)
    if decision_id is not None:
        query = query.where(FeedbackRow.decision_id == decision_id)
    return (await session.scalars(query)).all()


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets what is older than a time."""
    await session.execute(delete(DecisionRow).where(DecisionRow.at < before))
    await session.execute(delete(LabelRow).where(LabelRow.at < before))
    await session.execute(delete(OverrideRow).where(OverrideRow.at < before))
    await session.execute(delete(FeedbackRow).where(FeedbackRow.created_at < before))
