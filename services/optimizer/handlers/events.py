"""One short method per event or request: load, decide, save, emit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import structlog

from services.optimizer import store
from services.optimizer.domain import words
from services.optimizer.domain.partition import Measured, Recommended
from services.optimizer.handlers.fold import Found
from shared.contracts.base import CaseKind
from shared.contracts.detector import Swept
from shared.contracts.healer import Outcome, Result, SweepRequest
from shared.contracts.optimizer import Recommendation, Results, ResultsRequest, TuningResult
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.model import Knob

log = structlog.get_logger()

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:homeostat:optimizer")
_STATUS = {
    Result.SUCCEEDED: "applied",
    Result.FAILED: "failed",
    Result.ROLLED_BACK: "failed",
    Result.SKIPPED: "skipped",
}


@dataclass(slots=True)
class Handlers:
    packs: PackBook
    window: timedelta
    retention: timedelta

    async def save_found(self, unit: Unit, found: Sequence[Found]) -> None:
        """Saves what the folds found, and publishes recommendations."""
        for one in found:
            if isinstance(one.effect, Recommended):
                await self._recommend(unit, one.at, one.effect)
            else:
                await self._measured(unit, one.at, one.effect)

    async def _recommend(self, unit: Unit, at: datetime, effect: Recommended) -> None:
        knob = self._knob(effect)
        if knob is None:  # taken out of the pack meanwhile
            return
        tuning = effect.tuning
        case_id = uuid5(_NAMESPACE, f"{effect.component}|{effect.knob}|{effect.said_s!r}")
        event = Recommendation(
            id=uuid5(case_id, "1"),
            at=at,
            component=effect.component,
            case_id=case_id,
            knob=effect.knob,
            pack=effect.pack,
            current=tuning.current,
            recommended=tuning.recommended,
            unit=knob.unit,
            expected_improvement=words.improvement(tuning, knob.unit),
            evidence=words.evidence(tuning, effect.metric),
            implementation_steps=_steps(knob, tuning.recommended),
            risk=tuning.risk,
            samples=tuning.samples,
        )
        await store.save(unit.session, event, tuning.p50_s * 1_000, tuning.p99_s * 1_000)
        unit.emit(event)
        log.info("recommendation", component=event.component, knob=event.knob, reason=tuning.reason.value)

    def _knob(self, effect: Recommended) -> Knob | None:
        applied = self.packs.packs.get(effect.pack)
        knobs = applied.pack.knobs if applied else ()
        return next((one for one in knobs if (one.component, one.name) == (effect.component, effect.knob)), None)

    async def _measured(self, unit: Unit, at: datetime, effect: Measured) -> None:
        before = at - self.window
        await store.measured(
            unit.session,
            effect.component,
            effect.pack,
            effect.knob,
            before,
            effect.p50_s * 1_000,
            effect.p99_s * 1_000,
        )

    async def came_out(self, outcome: Outcome, unit: Unit) -> None:
        """What came of a recommendation that was tried."""
        if outcome.case_kind is not CaseKind.RECOMMENDATION:
            return
        status = "skipped" if outcome.dry_run else _STATUS[outcome.result]
        applied_at = (outcome.applied_at or outcome.finished_at) if status == "applied" else None
        await store.settle(unit.session, outcome.case_id, status, applied_at)

    async def results(self, request: ResultsRequest, unit: Unit) -> Results:
        since = unit.now - timedelta(days=request.days)
        by_status, measured, change = await store.counts(unit.session, since)
        rows = await store.newest(unit.session, since, request.limit)
        return Results(
            results=tuple(_result(row) for row in rows),
            recommended=sum(by_status.values()),
            applied=by_status.get("applied", 0),
            failed=by_status.get("failed", 0),
            measured=measured,
            p99_change=change,
        )

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Knobs are looked at with every reading; a sweep says how things stand."""
        by_status, measured, _ = await store.counts(unit.session, unit.now - self.retention)
        knobs = sum(len(applied.pack.knobs) for applied in self.packs.packs.values())
        open_count = by_status.get("open", 0)
        return Swept(
            at=unit.now,
            service="optimizer",
            looked_at=knobs,
            summary=f"{knobs} knobs, {open_count} recommendations open, {measured} measured",
        )

    async def tidy(self, unit: Unit) -> None:
        await store.prune(unit.session, unit.now - self.retention)


def _steps(knob: Knob, value: float) -> tuple[str, ...]:
    action = knob.apply.file_set
    guard = f" and {knob.objective.guard} holds" if knob.objective.guard else ""
    return (
        f"keep a copy of {action.path}",
        f"set {action.key} to {value:g} in {action.path}",
        f"have {knob.component} read it",
        f"watch that {knob.objective.minimise} does not grow{guard}; otherwise put the copy back",
    )


def _result(row: store.RecommendationRow) -> TuningResult:
    return TuningResult(
        case_id=row.id,
        at=row.created_at,
        component=row.component,
        knob=row.knob,
        current=row.current,
        recommended=float(row.recommended_state["value"]),
        unit=row.unit,
        status=row.status,
        p99_before_ms=row.p99_before_ms,
        p99_after_ms=row.p99_after_ms,
    )
