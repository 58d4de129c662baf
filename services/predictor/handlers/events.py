"""One short method per event or request: load, decide, save, emit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from services.predictor import store
from services.predictor.domain import words
from services.predictor.domain.accuracy import Fate, accuracy, fate_of
from services.predictor.domain.partition import Revision
from services.predictor.domain.trust import TrackRecord, believed
from services.predictor.domain.watch import Reason
from services.predictor.handlers.fold import Told
from shared.contracts.base import CaseKind, Category
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Swept
from shared.contracts.healer import Outcome, Result, SweepRequest
from shared.contracts.learner import ForesightRecord
from shared.contracts.predictor import Moment, Prediction, ValidateRequest, Validation
from shared.outbox import Unit
from shared.packs.book import PackBook, Placed

log = structlog.get_logger()

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:homeostat:predictor")
_FATES = {Result.SUCCEEDED: Fate.PREVENTED, Result.FAILED: Fate.FAILED, Result.ROLLED_BACK: Fate.FAILED}


@dataclass(slots=True)
class Handlers:
    """`schedules`: whether good moments are told. Without, predictions only inform, and nobody acts on them."""

    packs: PackBook
    schedules: bool
    retention_days: float
    records: dict[tuple[str, str], TrackRecord] = field(default_factory=dict)
    """By component and metric: how predictions came out, as the learner tells."""

    async def came_true(self, _slug: str, record: ForesightRecord | None) -> None:
        """For `bus.watch(ForesightRecord, …)`."""
        if record is not None:
            right = record.hits + record.prevented
            self.records[record.component, record.metric] = TrackRecord(right, record.false_alarms)

    # ---- telemetry

    async def save_told(self, unit: Unit, told: Sequence[Told]) -> None:
        """Saves and publishes what the folds said."""
        for one in told:
            await self._save(unit, one)

    async def _save(self, unit: Unit, told: Told) -> None:
        revision = told.revision
        prediction_id = uuid5(
            _NAMESPACE, f"{revision.component}|{revision.metric}|{revision.labels}|{revision.said.opened_s!r}"
        )
        placed = self.packs.component(revision.component)
        if revision.said.forecast is not None and revision.limit is not None:
            event = self._climbing(prediction_id, told, placed)
        else:
            known = await store.find(unit.session, prediction_id)
            if known is None:
                log.warning("end of an unknown prediction passed over", component=revision.component)
                return
            event = _gone(known, told.at, revision.said.revision, revision.said.reason)
        component_type = placed.component.kind if placed else ""
        await store.save_revision(unit.session, event, component_type, fate_of(revision.said.reason))
        unit.emit(event)
        log.info("prediction", component=event.component, reason=event.reason, moment=event.moment, eta_s=event.eta_s)

    def _climbing(self, prediction_id: UUID, told: Told, placed: Placed | None) -> Prediction:
        revision, said = told.revision, told.revision.said
        found, limit = said.forecast, revision.limit
        assert found is not None
        assert limit is not None
        return Prediction(
            id=uuid5(prediction_id, str(said.revision)),
            at=told.at,
            component=revision.component,
            case_id=prediction_id,
            revision=said.revision,
            metric=revision.metric,
            labels=dict(revision.labels),
            current=found.current,
            limit=found.limit,
            slope_per_s=found.trend.slope_per_s,
            eta_s=found.eta_s,
            eta_low_s=found.eta_low_s,
            eta_high_s=found.eta_high_s,
            probability=believed(found.probability, self.records.get((revision.component, revision.metric))),
            predicted_issue=limit.issue,
            signature=limit.signature,
            moment=Moment(said.moment.value) if self.schedules else Moment.WAIT,
            traffic_per_s=revision.traffic_per_s,
            summary=words.summary(revision.component, revision.metric, found, said.moment),
            reason=said.reason.value,
            recommended_action=_remedy(placed, revision),
            business_impact=self._impact(placed, revision.component),
        )

    def _impact(self, placed: Placed | None, component: str) -> str:
        callers = sorted(self.packs.dependents_of(component))
        criticality = placed.component.criticality.value if placed else "unknown"
        return f"criticality {criticality}; " + (
            f"used by {', '.join(callers)}" if callers else "nothing depends on it"
        )

    # ---- what came of it

    async def decided(self, decision: Decision, unit: Unit) -> None:
        """A decision on a prediction is a scheduled maintenance."""
        if decision.case_kind is not CaseKind.PREDICTION or decision.plan is None:
            return
        if await store.find(unit.session, decision.case_id) is None:
            return
        status = _schedule_status(decision)
        if status is None:
            return
        usual = await store.usual_duration_minutes(unit.session, decision.plan.playbook)
        spec = decision.plan.spec
        longest = (sum(step.timeout_s for step in spec.steps) + spec.validation.window_s) / 60
        await store.save_schedule(unit.session, decision, status, usual if usual is not None else longest)

    async def came_out(self, outcome: Outcome, unit: Unit) -> None:
        """A repair's outcome says whether the failure was prevented. What was not done says nothing."""
        if outcome.case_kind is not CaseKind.PREDICTION:
            return
        status = "completed" if outcome.result is Result.SUCCEEDED else outcome.result.value
        await store.complete_schedule(unit.session, outcome.decision_id, status, outcome.finished_at)
        fate = _FATES.get(outcome.result)
        if fate is not None and not outcome.dry_run:
            await store.settle(unit.session, outcome.case_id, fate)

    # ---- questions and chores

    async def validate(self, request: ValidateRequest, unit: Unit) -> Validation:
        since = unit.now - timedelta(days=request.days)
        found = accuracy(await store.records(unit.session, since))
        return Validation(
            since=since,
            open=found.counts[Fate.OPEN],
            reached=found.counts[Fate.REACHED],
            prevented=found.counts[Fate.PREVENTED],
            failed=found.counts[Fate.FAILED],
            lapsed=found.counts[Fate.LAPSED],
            ended=found.counts[Fate.ENDED],
            precision=found.precision,
            prevention=found.prevention,
            in_interval=found.in_interval,
            eta_error=found.eta_error,
        )

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Open predictions follow their readings by themselves; what is left to do is to end the forgotten ones."""
        ended = await self.end_stale(unit)
        looked_at = await store.count_open(unit.session)
        return Swept(
            at=unit.now, service="predictor", looked_at=looked_at, summary=f"{looked_at} open, {ended} without readings"
        )

    async def end_stale(self, unit: Unit) -> int:
        """Ends predictions whose component no longer sends readings."""
        rows = await store.stale(unit.session, unit.now)
        for row in rows:
            event = _gone(row, unit.now, row.revision + 1, Reason.NO_DATA)
            await store.save_revision(unit.session, event, row.component_type, Fate.ENDED)
            unit.emit(event)
        return len(rows)

    async def tidy(self, unit: Unit) -> None:
        await self.end_stale(unit)
        await store.prune(unit.session, unit.now - timedelta(days=self.retention_days))


def _gone(known: store.PredictionRow, at: datetime, revision: int, reason: Reason) -> Prediction:
    return Prediction(
        id=uuid5(known.id, str(revision)),
        at=at,
        component=known.component_id,
        case_id=known.id,
        revision=revision,
        metric=known.metric,
        labels=known.labels,
        current=known.current_value,
        limit=known.limit_value,
        slope_per_s=0.0,
        eta_s=known.eta_s,
        eta_low_s=known.eta_low_s,
        eta_high_s=known.eta_high_s,
        probability=0.0,
        predicted_issue=known.predicted_issue,
        signature=known.signature,
        moment=Moment.GONE,
        traffic_per_s=known.traffic_per_s,
        summary=words.farewell(known.component_id, known.metric, reason),
        reason=reason.value,
        recommended_action=known.recommended_action,
        business_impact=known.business_impact,
    )


def _remedy(placed: Placed | None, revision: Revision) -> str:
    """The playbooks of the pack that are for this kind of trouble, as words."""
    signature = revision.limit.signature if revision.limit else ""
    try:
        category = Category(signature.split(":", 1)[0])
    except ValueError:
        category = Category.RESOURCE_EXHAUSTION
    if placed is None:
        return ""
    fitting = [
        name
        for name, playbook in placed.pack.playbooks.items()
        if category in playbook.applies_to and (not playbook.components or revision.component in playbook.components)
    ]
    return (
        f"run {' or '.join(fitting)}" if fitting else f"no playbook is for {category.value}: raise the limit or restart"
    )


def _schedule_status(decision: Decision) -> str | None:
    """None: nothing was scheduled."""
    if decision.verdict is Verdict.EXECUTE:
        return "dry-run" if decision.dry_run else "in-progress"
    if decision.verdict is Verdict.ASK:
        return "awaiting-approval"
    return "rejected" if decision.revision > 1 else None
