"""What detection and prediction are told of themselves: which alarms were worth having, which predictions came true."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import structlog

from services.learner.domain.alarms import advice, judge, precision
from services.learner.domain.foresight import Came, ended_as, record
from services.learner.domain.insights import Noise
from services.learner.domain.knowledge import slug
from services.learner.handlers.learning import NAMESPACE
from services.learner.store import alarms, foretold, turn
from shared.contracts.base import CaseKind
from shared.contracts.detector import Health, Incident, Transition
from shared.contracts.healer import Outcome, Result
from shared.contracts.learner import AlarmRecord, ForesightRecord
from shared.contracts.predictor import Moment, Prediction
from shared.outbox import Unit
from shared.packs.book import PackBook

log = structlog.get_logger()

REACHED = "reached"
BY_A_PERSON = "silence "
"""How the words begin that say why an incident is silenced, when a person did it."""


@dataclass(slots=True)
class Senses:
    """`judge_after`: so long after an alarm is over what came of it has been heard."""

    packs: PackBook
    judge_after: timedelta
    _budgets: dict[str, float] = field(default_factory=dict)
    """By component: the least share of its error budgets that is left."""

    async def health(self, component: str, health: Health | None) -> None:
        """For `bus.watch(Health, …)`."""
        if health is None or not health.error_budgets:
            self._budgets.pop(component, None)
        else:
            self._budgets[component] = min(health.error_budgets.values())

    # ---- alarms

    async def incident(self, incident: Incident, unit: Unit) -> None:
        """Keeps an alarm until it can be judged; an incident of a watched series also judges predictions."""
        await turn.take(unit.session)
        by_a_person = incident.silenced.startswith(BY_A_PERSON)
        await alarms.save(unit.session, incident, self._budgets.get(incident.component), by_a_person=by_a_person)
        if incident.transition is Transition.OPENED:
            await self._came(unit, incident)

    async def judge(self, unit: Unit) -> None:
        """Judges alarms that have been over for a while, and tells the detector."""
        await turn.take(unit.session)
        told: set[tuple[str, str]] = set()
        for row in await alarms.over_since(unit.session, unit.now - self.judge_after):
            judged, why = judge(await alarms.signs(unit.session, row))
            await alarms.set_judged(unit.session, row.case_id, judged, why)
            told.add((row.component, row.pattern))
            log.info("alarm judged", component=row.component, pattern=row.pattern, judged=judged.value, why=why.value)
        for component, pattern in sorted(told):
            unit.emit(await self.alarm_record(unit, component, pattern))

    async def alarm_record(self, unit: Unit, component: str, pattern: str) -> AlarmRecord:
        found = precision(await alarms.judged_of(unit.session, component, pattern))
        key = slug(component, pattern)
        return AlarmRecord(
            id=uuid5(NAMESPACE, f"alarms|{key}|{unit.now.isoformat()}"),
            at=unit.now,
            slug=key,
            component=component,
            pattern=pattern,
            true_alarms=found.true,
            false_alarms=found.false,
            unknown=found.unknown,
            precision=found.share,
            precision_low=found.low,
            precision_high=found.high,
            advice=advice(pattern, component, found),
        )

    async def noise(self, unit: Unit) -> list[Noise]:
        """All records, for insights."""
        records = [await self.alarm_record(unit, *one) for one in await alarms.series(unit.session)]
        return [Noise(one.component, one.pattern, one.true_alarms, one.false_alarms, one.advice) for one in records]

    # ---- predictions

    async def prediction(self, event: Prediction, unit: Unit) -> None:
        """What a revision says of how a prediction comes out."""
        await turn.take(unit.session)
        came = Came.OPEN
        if event.reason == REACHED:
            came = Came.HIT
        elif event.moment is Moment.GONE:
            came = ended_as(event.reason)
        await self._save(unit, event.case_id, event.component, event.metric, came, event.at)

    async def maintained(self, outcome: Outcome, unit: Unit) -> None:
        """A repair that helped before the limit was reached prevented it."""
        if outcome.case_kind is not CaseKind.PREDICTION or outcome.dry_run or outcome.result is not Result.SUCCEEDED:
            return
        known = await foretold.find(unit.session, outcome.case_id)
        if known is not None:
            await self._save(unit, known.case_id, known.component, known.metric, Came.PREVENTED, outcome.finished_at)

    async def _came(self, unit: Unit, incident: Incident) -> None:
        """An incident of a series with a limit was foretold, or missed."""
        metrics = self._limited(incident)
        if not metrics:
            return
        rows = await foretold.about(unit.session, incident.component, metrics, incident.opened_at)
        for row in rows:
            await self._save(unit, row.case_id, row.component, row.metric, Came.HIT, incident.opened_at)
        if not rows:
            missed = (incident.case_id, incident.component, metrics[0], Came.MISSED, incident.opened_at)
            await self._save(unit, *missed)

    def _limited(self, incident: Incident) -> list[str]:
        """Metrics with a limit in the pack that the incident is about."""
        placed = self.packs.component(incident.component)
        if placed is None:
            return []
        limited = {one.metric for one in placed.pack.limits if one.component in ("*", incident.component)}
        named = {one.name.partition("{")[0] for one in incident.evidence} | {incident.labels.get("metric", "")}
        return sorted(limited & named)

    async def _save(self, unit: Unit, case_id: UUID, component: str, metric: str, came: Came, at: datetime) -> None:
        await foretold.save(unit.session, case_id, component, metric, came, at)
        if came is not Came.OPEN:
            unit.emit(await self.foresight_record(unit, component, metric, f"{case_id}|{came.value}"))

    async def foresight_record(self, unit: Unit, component: str, metric: str, cause: str) -> ForesightRecord:
        found = record(await foretold.came_of(unit.session, component, metric))
        key = slug(component, metric)
        return ForesightRecord(
            id=uuid5(NAMESPACE, f"foresight|{key}|{cause}|{unit.now.isoformat()}"),
            at=unit.now,
            slug=key,
            component=component,
            metric=metric,
            hits=found.hits,
            prevented=found.prevented,
            false_alarms=found.false,
            missed=found.missed,
            precision=found.precision,
            precision_low=found.precision_low,
            precision_high=found.precision_high,
            recall=found.recall,
        )

    async def records(self, unit: Unit) -> tuple[tuple[AlarmRecord, ...], tuple[ForesightRecord, ...]]:
        """All that detection and prediction were told."""
        heard = [await self.alarm_record(unit, *one) for one in await alarms.series(unit.session)]
        seen = [await self.foresight_record(unit, *one, "asked") for one in await foretold.series(unit.session)]
        return tuple(heard), tuple(seen)
