"""The row that a run begins with."""

from __future__ import annotations

from datetime import datetime

from services.healer.domain.runs import RunStatus
from services.healer.store.models import Run
from services.healer.workflows.journal import plan_of
from services.healer.workflows.rehearsal import Rehearsal
from shared.contracts.decider import Decision


def run_of(decision: Decision, now: datetime) -> Run:
    """A run that waits for its component."""
    plan = plan_of(decision)
    return Run(
        id=decision.decision_id,
        revision=decision.revision,
        case_id=decision.case_id,
        case_kind=decision.case_kind.value,
        component=decision.component,
        pack=plan.pack,
        healing_strategy=plan.playbook,
        problem_signature=decision.signature,
        category=decision.category.value,
        confidence=decision.confidence,
        dry_run=decision.dry_run,
        practice=isinstance(decision, Rehearsal),
        decision=decision.model_dump(mode="json", by_alias=True),
        status=RunStatus.QUEUED.value,
        reason="",
        healing_actions=[],
        error_count_after=0,
        created_at=now,
        epoch=plan.epoch,
        holder="",
    )
