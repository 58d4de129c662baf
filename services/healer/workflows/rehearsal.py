"""A run that is only practice: the workflow can't tell it from a real one, but nobody outside hears of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from services.healer.workflows.records import PracticeOrder
from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision, Verdict


class Rehearsal(Decision):
    """The healer's own order to itself, for a practice target. It says nothing on the bus, and nothing learns of it."""

    validation_broken: bool
    """The run must find that it did not help, and take everything back."""


def rehearsal(order: PracticeOrder, name: str, at: datetime, *, validation_broken: bool) -> Rehearsal:
    """The order to run the playbook of a practice once. What it does is the playbook's; how long it watches is not, and
    what it asks of its surroundings is left out: nobody watches a practice target."""
    spec = order.plan.spec
    watching = spec.validation.model_copy(update={"window_s": order.practice.window_s, "clear": "none"})
    alone = {"validation": watching, "preconditions": (), "success_criteria": ()}
    return Rehearsal(
        id=uuid5(order.practice_id, f"{name} decision"),
        at=at,
        component=order.plan.component,
        case_id=order.practice_id,
        case_kind=CaseKind.REQUEST,
        decision_id=run_id(order.practice_id, name),
        verdict=Verdict.EXECUTE,
        reason="practice",
        category=spec.applies_to[0],
        signature=f"practice:{order.plan.playbook}",
        confidence=1.0,
        threshold=0.0,
        risk=0.0,
        risk_max=1.0,
        mode="practice",
        dry_run=False,
        plan=order.plan.model_copy(update={"spec": spec.model_copy(update=alone)}),
        explanation=f"practice, asked for by {order.by}",
        decided_by=order.by,
        validation_broken=validation_broken,
    )


def run_id(practice_id: UUID, name: str) -> UUID:
    return uuid5(practice_id, name)
