"""What others ask the learner, and its chores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.learner.domain.outcomes import brier, learning_curve
from services.learner.domain.thresholds import proposed_threshold
from services.learner.handlers.learning import Learning
from services.learner.handlers.senses import Senses
from services.learner.store import alarms, foretold, outcomes, people, turn
from shared.contracts.detector import Swept
from shared.contracts.healer import SweepRequest
from shared.contracts.learner import (
    Feedback,
    FeedbackRequest,
    Feedbacks,
    FixStatistics,
    Statistics,
    StatisticsRequest,
)
from shared.outbox import Unit


@dataclass(slots=True)
class Questions:
    retention: timedelta
    learning: Learning
    senses: Senses

    async def statistics(self, request: StatisticsRequest, unit: Unit) -> Statistics:
        since = unit.now - timedelta(days=request.days)
        fixes = await outcomes.by_fix_type(unit.session, since)
        attempts = await outcomes.attempts(unit.session, since)
        asked, answers = await people.answers(unit.session, since)
        total, successes = sum(fix.total for fix in fixes), sum(fix.successes for fix in fixes)
        return Statistics(
            total=total,
            successes=successes,
            success_rate=successes / total if total else None,
            by_type={
                fix.fix_type: FixStatistics(
                    total=fix.total,
                    successes=fix.successes,
                    success_rate=fix.successes / fix.total,
                    mean_recovery_s=fix.mean_recovery_s,
                    last_updated=fix.last_updated,
                )
                for fix in fixes
            },
            last_updated=max((fix.last_updated for fix in fixes), default=None),
            asked=asked,
            approved=answers.get("approved", 0),
            rejected=answers.get("rejected", 0),
            brier=brier(attempts),
            curve=tuple(learning_curve(attempts)),
            proposed_threshold=proposed_threshold(attempts),
        )

    async def feedback(self, request: FeedbackRequest, unit: Unit) -> Feedbacks:
        rows = await people.newest_feedback(unit.session, request.limit, request.decision_id)
        heard, seen = await self.senses.records(unit)
        return Feedbacks(
            feedback=tuple(
                Feedback(
                    decision_id=row.decision_id,
                    at=row.created_at,
                    outcome_quality=float(row.outcome_quality),
                    feedback_type=row.feedback_type,
                    lessons_learned=row.lessons_learned,
                    model_adjustments=row.model_adjustments,
                )
                for row in rows
            ),
            alarms=heard,
            foresight=seen,
        )

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Says again all that is known: the stream of last values may have been lost."""
        told = await self.learning.tell_again(unit, None)
        heard, seen = await self.senses.records(unit)
        for record in (*heard, *seen):
            unit.emit(record)
        summary = f"{told} pairs of signature and playbook said again"
        return Swept(at=unit.now, service="learner", looked_at=told, summary=summary)

    async def tidy(self, unit: Unit) -> None:
        await turn.take(unit.session)
        before = unit.now - self.retention
        await outcomes.prune(unit.session, before)
        await people.prune(unit.session, before)
        await alarms.prune(unit.session, before)
        await foretold.prune(unit.session, before)
