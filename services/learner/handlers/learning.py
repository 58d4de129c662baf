"""What a run adds to what is known, told to everyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from services.learner.domain.knowledge import Parameters, confidence_shift, slug
from services.learner.domain.memory import Changed
from services.learner.domain.outcomes import End, lesson, quality
from services.learner.store import KnowledgeRow, OutcomeRow, knowledge, people
from shared import telemetry
from shared.contracts.learner import Drift, KindKnowledge, Knowledge
from shared.outbox import Unit

log = structlog.get_logger()

NAMESPACE = uuid5(NAMESPACE_URL, "urn:homeostat:learner")
RECENT = timedelta(minutes=5)


@dataclass(slots=True)
class Learning:
    """Counts a pair anew after each of its runs. `parameters`: how, as the models in force say."""

    parameters: Parameters = field(default_factory=Parameters)

    async def learn(self, unit: Unit, decision_id: UUID, kind: str, cause: UUID) -> None:
        """What this run, or a word on it, teaches; `cause` is the event's id."""
        run = await unit.session.get_one(OutcomeRow, decision_id, populate_existing=True)
        before, now, found = await knowledge.recount(
            unit.session, run.issue_type, run.fix_type, unit.now, self.parameters
        )
        end = End(run.result_status)
        columns: dict[str, object] = {
            "id": uuid5(NAMESPACE, f"{kind}|{cause}"),
            "decision_id": decision_id,
            "outcome_quality": quality(end, run.label),
            "feedback_type": kind,
            "lessons_learned": lesson(run.fix_type, run.issue_type, run.component, end, run.label, now.tally()),
            "model_adjustments": {
                "confidence_shift": {
                    "before": confidence_shift(before.success_rate),
                    "now": confidence_shift(now.tally().success_rate),
                },
                "counts_by_kind": now.by_kind,
            },
            "created_at": unit.now,
        }
        await people.add_feedback(unit.session, columns)
        if not run.attempted:
            return
        unit.emit(told(now, unit.now, f"{cause}"))
        if found.news is not None:
            await self._changed(unit, run, cause, *found.news)
        log.info("learned", playbook=run.fix_type, signature=run.issue_type, runs=now.runs)

    async def _changed(self, unit: Unit, run: OutcomeRow, cause: UUID, kind: str, changed: Changed) -> None:
        """The truth is another than it was: said once, by the run that makes it certain."""
        telemetry.LEARNING_DRIFTS.labels(run.fix_type).inc()
        drift = Drift(
            id=uuid5(NAMESPACE, f"drift|{cause}"),
            at=unit.now,
            slug=slug(run.issue_type, run.fix_type),
            signature=run.issue_type,
            playbook=run.fix_type,
            kind=kind,
            success_before=changed.before,
            success_since=changed.since,
            runs_since=changed.runs_since,
        )
        words = (
            f"{run.fix_type} helps otherwise on {run.issue_type}{f' ({kind})' if kind else ''} than it used to: "
            f"{changed.before:.0%} before, {changed.since:.0%} in the last {changed.runs_since} runs"
        )
        columns: dict[str, object] = {
            "id": drift.id,
            "decision_id": run.decision_id,
            "outcome_quality": changed.since,
            "feedback_type": "drift",
            "lessons_learned": words,
            "model_adjustments": {"kind": kind, "before": changed.before, "since": changed.since},
            "created_at": unit.now,
        }
        await people.add_feedback(unit.session, columns)
        unit.emit(drift)
        log.warning("drift", playbook=run.fix_type, signature=run.issue_type, before=changed.before, now=changed.since)

    async def settle(self, unit: Unit) -> None:
        """Says again what was learned lately: when two replicas learn the same pair, the older may arrive last."""
        await self.tell_again(unit, unit.now - RECENT)

    async def tell_again(self, unit: Unit, since: datetime | None) -> int:
        rows = [row for row in await knowledge.newest(unit.session, since) if row.runs]
        for row in rows:
            unit.emit(told(row, unit.now, f"again|{unit.now.isoformat()}"))
        return len(rows)


def told(row: KnowledgeRow, at: datetime, cause: str) -> Knowledge:
    """What is known of a pair, as everyone hears it."""
    tally = row.tally()
    key = slug(row.signature, row.playbook)
    return Knowledge(
        id=uuid5(NAMESPACE, f"{key}|{cause}"),
        at=at,
        signature=row.signature,
        playbook=row.playbook,
        slug=key,
        runs=tally.runs,
        successes=tally.successes,
        success_rate=tally.success_rate,
        confidence_shift=confidence_shift(tally.success_rate),
        mean_recovery_s=tally.mean_recovery_s,
        by_kind=tuple(
            KindKnowledge(kind=kind, runs=runs, successes=successes) for kind, (runs, successes) in row.by_kind.items()
        ),
        typical_recovery_s=row.typical_recovery_s,
        recovery_high_s=row.recovery_high_s,
        changed_at=row.changed_at,
    )
