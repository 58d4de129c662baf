"""The end of a run: its outcome, told once, whoever gets to tell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid5

from services.healer.domain.runs import Ending, RunStatus, resolution_time_ms
from services.healer.store import cases, runs
from services.healer.store.models import Run
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.records import Finished
from services.healer.workflows.rehearsal import Rehearsal
from shared import telemetry
from shared.contracts.decider import Decision
from shared.contracts.healer import Outcome, Phase, Result
from shared.outbox import Unit


@dataclass(frozen=True, slots=True)
class Finishing:
    journal: Journal
    freed: Callable[[str], None]
    """Told the component on which a run has ended: another may wait for it."""

    async def finish(self, decision: Decision, ending: Ending, actions: Sequence[str], errors: int) -> Finished:
        """Ends a run and tells its outcome; does nothing when it has ended before."""

        async def end(unit: Unit) -> None:
            known = await runs.get(unit.session, decision.decision_id)
            case = await cases.get(unit.session, decision.case_id)
            opened_at = case.opened_at if case else None
            started_at = (known and known.started_at) or unit.now
            run = await runs.finish(
                unit.session,
                decision.decision_id,
                status=ending.status.value,
                reason=ending.explanation,
                actions=actions,
                error_count_after=errors,
                now=unit.now,
                resolution_time_ms=resolution_time_ms(opened_at, started_at, unit.now),
            )
            if run is None:
                return
            await self.journal.say(unit, decision, Phase(ending.status.value), detail=ending.explanation)
            if isinstance(decision, Rehearsal):
                return
            unit.emit(_outcome(decision, ending, run, opened_at, unit.now))
            telemetry.RUNS.labels(plan_of(decision).playbook, ending.status.value, ending.reason.value).inc()

        await self.journal.write(end)
        self.freed(decision.component)
        return Finished(status=ending.status.value)


def _outcome(decision: Decision, ending: Ending, run: Run, opened_at: datetime | None, now: datetime) -> Outcome:
    plan = plan_of(decision)
    failed = ending.status in {RunStatus.FAILED, RunStatus.ROLLED_BACK}
    return Outcome(
        id=uuid5(decision.decision_id, "outcome"),
        at=now,
        component=decision.component,
        case_id=decision.case_id,
        case_kind=decision.case_kind,
        decision_id=decision.decision_id,
        playbook=plan.playbook,
        signature=decision.signature,
        category=decision.category,
        confidence=decision.confidence,
        result=Result(ending.status.value),
        reason=ending.explanation,
        dry_run=decision.dry_run,
        changed=ending.changed,
        error_count_after=run.error_count_after,
        backup_id=run.backup_id,
        steps=tuple(run.healing_actions),
        opened_at=opened_at,
        started_at=run.started_at or now,
        applied_at=run.applied_at,
        finished_at=now,
        escalate_to=plan.spec.then if failed else None,
    )
