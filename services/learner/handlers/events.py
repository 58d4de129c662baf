"""One short method per event: load, decide, save, emit."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid5

from services.learner.domain.outcomes import End, is_attempt, validated
from services.learner.domain.suggestions import Answer
from services.learner.handlers.learning import NAMESPACE, Learning
from services.learner.handlers.senses import Senses
from services.learner.store import outcomes, people, turn
from shared.contracts.decider import Decision, Verdict
from shared.contracts.healer import Outcome
from shared.contracts.ingest import ExternalOutcome
from shared.outbox import Unit
from shared.packs.book import PackBook


@dataclass(slots=True)
class Handlers:
    packs: PackBook
    learning: Learning
    senses: Senses

    async def came_out(self, outcome: Outcome, unit: Unit) -> None:
        """Records a run once, and what it adds to what is known."""
        end = End(outcome.result.value)
        await turn.take(unit.session)
        label = await people.label_of(unit.session, outcome.case_id)
        said = label.success if label is not None and label.at >= outcome.finished_at else None
        placed = self.packs.component(outcome.component)
        columns = _columns(outcome, end, said) | {"kind": placed.component.kind if placed else ""}
        if not await outcomes.add(unit.session, columns):
            return
        await self.senses.maintained(outcome, unit)
        await self.learning.learn(unit, outcome.decision_id, "outcome", outcome.id)

    async def was_seen(self, event: ExternalOutcome, unit: Unit) -> None:
        """Somebody who saw it says what came of a case: that counts before the validation."""
        await turn.take(unit.session)
        await people.save_label(unit.session, event)
        run = await outcomes.last_run(unit.session, event.case_id)
        if run is None or run.timestamp > event.at:
            return  # kept for an outcome that is still under way
        await outcomes.set_label(unit.session, run.decision_id, event.success)
        await self.learning.learn(unit, run.decision_id, "external", event.id)

    async def decided(self, decision: Decision, unit: Unit) -> None:
        """Keeps a decision's answer; what a person says against or for it is a lesson."""
        await turn.take(unit.session)
        asked = decision.verdict is Verdict.ASK
        answer = _answer(decision)
        if not await people.save_decision(unit.session, decision, asked=asked, answer=answer.value):
            return
        if answer not in (Answer.APPROVED, Answer.REJECTED):
            return
        playbook = decision.plan.playbook if decision.plan else "no playbook"
        columns: dict[str, object] = {
            "id": uuid5(NAMESPACE, f"{decision.decision_id}|{decision.revision}"),
            "decision_id": decision.decision_id,
            "outcome_quality": 1.0 if answer is Answer.APPROVED else 0.0,
            "feedback_type": "override",
            "lessons_learned": f"{decision.decided_by} {answer.value} {playbook} on {decision.component} "
            f"({decision.signature}), which was decided with {decision.confidence:.0%} confidence",
            "model_adjustments": {},
            "created_at": decision.at,
        }
        await people.add_feedback(unit.session, columns)


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
        "validation_status": validated(end).value,
        "success": label if label is not None else end is End.SUCCEEDED,
        "attempted": is_attempt(end, dry_run=outcome.dry_run),
        "dry_run": outcome.dry_run,
        "error_count_after": outcome.error_count_after,
        "recovery_s": recovery_s,
        "label": label,
    }


def _answer(decision: Decision) -> Answer:
    """What a person said, or that nobody did in time."""
    if decision.reason == Answer.EXPIRED.value:
        return Answer.EXPIRED
    if decision.revision == 1 or decision.decided_by == "homeostat":
        return Answer.NONE
    return Answer.APPROVED if decision.verdict is Verdict.EXECUTE else Answer.REJECTED
