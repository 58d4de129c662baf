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
from shared.contracts.decider_governance import Overridden
from shared.contracts.healer import Outcome
from shared.contracts.ingest import ExternalOutcome
from shared.outbox import Unit
from shared.packs.book import PackBook

OVERRIDDEN = "overridden"
"""Reason of a decision that a person turned into another: their word comes as an event of its own."""


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
        said = await people.said_of(unit.session, outcome.decision_id)
        if said is None and label is not None and label.at >= outcome.finished_at:
            said = label.success
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
        if answer not in (Answer.APPROVED, Answer.REJECTED) or decision.reason == OVERRIDDEN:
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

    async def overridden(self, event: Overridden, unit: Unit) -> None:
        """A person's word against a decision is a label of it: of its run, else of what was suggested. What it turned
        is told by the decision's next revision as well."""
        await turn.take(unit.session)
        refused = event.verdict is not Verdict.EXECUTE or event.playbook != event.was_playbook
        if event.applied and event.verdict is not Verdict.EXECUTE:
            return
        if not event.applied:
            await people.save_override(unit.session, event, refused=refused)
        if event.helped is not None and await outcomes.set_label(unit.session, event.decision_id, event.helped):
            await self.learning.learn(unit, event.decision_id, "override", event.id)
            return
        wanted = f"{event.verdict.value} {event.playbook or ''}".strip()
        columns: dict[str, object] = {
            "id": uuid5(NAMESPACE, f"override|{event.id}"),
            "decision_id": event.decision_id,
            "outcome_quality": 0.0 if refused else 1.0,
            "feedback_type": "override",
            "lessons_learned": f"{event.by} wanted {wanted} instead of {event.was.value} {event.was_playbook or ''} "
            f"on {event.component} ({event.signature}): {event.reason}",
            "model_adjustments": {"refused": refused, "applied": event.applied},
            "created_at": event.at,
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
