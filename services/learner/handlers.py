"""One short method per event or request: load, decide, save, emit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from services.learner import domain, store
from services.learner.domain import End, Tally
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Swept
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.ingest import ExternalOutcome
from shared.contracts.learner import (
    Export,
    ExportRequest,
    Feedback,
    FeedbackRequest,
    Feedbacks,
    FixStatistics,
    Knowledge,
    Statistics,
    StatisticsRequest,
)
from shared.outbox import Unit

log = structlog.get_logger()

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:homeostat:learner")
_RECENT = timedelta(minutes=5)


@dataclass(slots=True)
class Handlers:
    retention: timedelta

    # ---- what came of decisions

    async def came_out(self, outcome: Outcome, unit: Unit) -> None:
        """Records a run once, and what it adds to what is known."""
        end = End(outcome.result.value)
        await store.hold_case(unit.session, outcome.case_id)
        label = await store.label_of(unit.session, outcome.case_id)
        said = label.success if label is not None and label.at >= outcome.finished_at else None
        if not await store.add_outcome(unit.session, _columns(outcome, end, said)):
            return
        await self._learn(unit, outcome.decision_id, "outcome", outcome.id)

    async def was_seen(self, event: ExternalOutcome, unit: Unit) -> None:
        """Somebody who saw it says what came of a case: that counts before the validation."""
        await store.hold_case(unit.session, event.case_id)
        await store.save_label(unit.session, event)
        run = await store.last_run(unit.session, event.case_id)
        if run is None or run.timestamp > event.at:
            return  # kept for an outcome that is still under way
        await store.set_label(unit.session, run.decision_id, event.success)
        await self._learn(unit, run.decision_id, "external", event.id)

    async def decided(self, decision: Decision, unit: Unit) -> None:
        """Keeps a decision's answer; what a person says against or for it is a lesson."""
        asked = decision.verdict is Verdict.ASK
        answer = _answer(decision)
        if not await store.save_decision(unit.session, decision, asked=asked, answer=answer) or not answer:
            return
        playbook = decision.plan.playbook if decision.plan else "no playbook"
        columns: dict[str, object] = {
            "id": uuid5(_NAMESPACE, f"{decision.decision_id}|{decision.revision}"),
            "decision_id": decision.decision_id,
            "outcome_quality": 1.0 if answer == "approved" else 0.0,
            "feedback_type": "override",
            "lessons_learned": f"{decision.decided_by} {answer} {playbook} on {decision.component} "
            f"({decision.signature}), which was decided with {decision.confidence:.0%} confidence",
            "model_adjustments": {},
            "created_at": decision.at,
        }
        await store.add_feedback(unit.session, columns)

    async def _learn(self, unit: Unit, decision_id: UUID, kind: str, cause: UUID) -> None:
        run = await unit.session.get_one(store.OutcomeRow, decision_id, populate_existing=True)
        before, now = await store.recount(unit.session, run.issue_type, run.fix_type, unit.now)
        end = End(run.result_status)
        columns: dict[str, object] = {
            "id": uuid5(_NAMESPACE, f"{kind}|{cause}"),
            "decision_id": decision_id,
            "outcome_quality": domain.quality(end, run.label),
            "feedback_type": kind,
            "lessons_learned": domain.lesson(run.fix_type, run.issue_type, run.component, end, run.label, now),
            "model_adjustments": {
                "confidence_shift": {
                    "before": domain.confidence_shift(before.success_rate),
                    "now": domain.confidence_shift(now.success_rate),
                }
            },
            "created_at": unit.now,
        }
        await store.add_feedback(unit.session, columns)
        if run.attempted:
            unit.emit(_knowledge(run.issue_type, run.fix_type, now, unit.now, f"{cause}"))
            log.info("learned", playbook=run.fix_type, signature=run.issue_type, runs=now.runs, rate=now.success_rate)

    # ---- questions and chores

    async def statistics(self, request: StatisticsRequest, unit: Unit) -> Statistics:
        since = unit.now - timedelta(days=request.days)
        fixes = await store.by_fix_type(unit.session, since)
        attempts = await store.attempts(unit.session, since)
        asked, answers = await store.answers(unit.session, since)
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
            brier=domain.brier(attempts),
            curve=tuple(domain.learning_curve(attempts)),
            proposed_threshold=domain.proposed_threshold(attempts),
        )

    async def export(self, request: ExportRequest, unit: Unit) -> Export:
        rows = await store.page(unit.session, request.after, request.limit)
        return Export(
            lines=tuple(_line(row) for row in rows), next=rows[-1].position if len(rows) == request.limit else None
        )

    async def feedback(self, request: FeedbackRequest, unit: Unit) -> Feedbacks:
        rows = await store.newest_feedback(unit.session, request.limit)
        return Feedbacks(
            feedback=tuple(
                Feedback(
                    decision_id=row.decision_id,
                    at=row.created_at,
                    outcome_quality=float(row.outcome_quality),
                    feedback_type=row.feedback_type,
                    lessons_learned=row.lessons_learned,
                )
                for row in rows
            )
        )

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Publishes again all that is known."""
        count = await self._publish_again(unit, None)
        return Swept(at=unit.now, service="learner", looked_at=count, summary=f"{count} pairs published again")

    async def settle(self, unit: Unit) -> None:
        """Publishes again what was learned lately: of two replicas' events for one pair the older may arrive last."""
        await self._publish_again(unit, unit.now - _RECENT)

    async def _publish_again(self, unit: Unit, since: datetime | None) -> int:
        rows = [row for row in await store.knowledge(unit.session, since) if row.runs]
        for row in rows:
            unit.emit(_knowledge(row.signature, row.playbook, row.tally(), unit.now, f"again|{unit.now.isoformat()}"))
        return len(rows)

    async def tidy(self, unit: Unit) -> None:
        await store.prune(unit.session, unit.now - self.retention)


def _columns(outcome: Outcome, end: End, label: bool | None) -> dict[str, object]:
    recovery_s = (outcome.finished_at - outcome.opened_at).total_seconds() if outcome.opened_at else None
    return {
        "decision_id": outcome.decision_id,
        "case_id": outcome.case_id,
        "case_kind": outcome.case_kind.value,
        "timestamp": outcome.finished_at,
        "component": outcome.component,
        "issue_type": outcome.signature,
        "fix_type": outcome.playbook,
        "category": outcome.category.value,
        "original_confidence": outcome.confidence,
        "result_status": end.value,
        "validation_status": domain.validated(end).value,
        "success": label if label is not None else end is End.SUCCEEDED,
        "attempted": domain.is_attempt(end, dry_run=outcome.dry_run),
        "dry_run": outcome.dry_run,
        "error_count_after": outcome.error_count_after,
        "recovery_s": recovery_s,
        "label": label,
    }


def _answer(decision: Decision) -> str:
    """`approved` or `rejected` where a person decided; empty otherwise."""
    if decision.revision == 1 or decision.decided_by == "homeostat":
        return ""
    return "approved" if decision.verdict is Verdict.EXECUTE else "rejected"


def _knowledge(signature: str, playbook: str, tally: Tally, at: datetime, cause: str) -> Knowledge:
    slug = domain.slug(signature, playbook)
    return Knowledge(
        id=uuid5(_NAMESPACE, f"{slug}|{cause}"),
        at=at,
        signature=signature,
        playbook=playbook,
        slug=slug,
        runs=tally.runs,
        successes=tally.successes,
        success_rate=tally.success_rate,
        confidence_shift=domain.confidence_shift(tally.success_rate),
        mean_recovery_s=tally.mean_recovery_s,
    )


def _line(row: store.OutcomeRow) -> str:
    """One line of the knowledge base; confidence in points of 100, as it is shown."""
    return json.dumps(
        {
            "timestamp": row.timestamp.isoformat(),
            "issue_type": row.issue_type,
            "fix_type": row.fix_type,
            "original_confidence": round(row.original_confidence * 100, 1),
            "result_status": row.result_status,
            "validation_status": row.validation_status,
            "success": row.success and row.attempted,
            "error_count_after": row.error_count_after,
            "component": row.component,
            "dry_run": row.dry_run,
            "decision_id": str(row.decision_id),
        }
    )
