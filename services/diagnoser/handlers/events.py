"""One method per event: keep what it says, decide what to look at and when; and the looking itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import structlog

from services.diagnoser import store
from services.diagnoser.domain import CallGraph, Diagnosis, IncidentSeen, Reason, Scene, diagnose, revise
from services.diagnoser.domain.changes import CHANGE_WINDOW_S
from services.diagnoser.domain.own import most_telling
from services.diagnoser.domain.patterns import is_conclusive
from services.diagnoser.domain.revise import Told
from services.diagnoser.handlers import translate
from services.diagnoser.handlers.experience import Experience
from services.diagnoser.handlers.topology import Topology
from shared.contracts.detector import Anomaly, Incident, Swept
from shared.contracts.healer import SweepRequest
from shared.contracts.ingest import Change
from shared.outbox import Unit
from shared.packs.book import PackBook

log = structlog.get_logger()

MEASURED = timedelta(minutes=15)
"""What series said longer before the first incident is left out."""
BATCH = 20
"""Incidents looked at in one unit of work."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, how often to look again, and how long to remember."""

    settle: timedelta = timedelta(seconds=1)
    """For the neighbours' alarms, before an inconclusive incident is diagnosed."""
    symptom_grace: timedelta = timedelta(seconds=15)
    """How long a symptom may outlast its cause."""
    review: timedelta = timedelta(seconds=15)
    anomaly_recent: timedelta = timedelta(minutes=5)
    keep: timedelta = timedelta(days=7)


@dataclass
class Handlers:
    """What the diagnoser does with what it hears."""

    packs: PackBook
    patience: Patience
    ids: Callable[[], UUID]
    topology: Topology
    experience: Experience

    async def incident(self, event: Incident, unit: Unit) -> None:
        """Conclusive patterns are diagnosed at once, others when their neighbours have had time to raise alarm."""
        if not await store.incidents.take_incident(unit.session, event, unit.now):
            return
        neighbours = await self._touched_by(event.component, unit)
        if not event.is_open:
            outlived = self.patience.symptom_grace + timedelta(seconds=0.1)
            await store.incidents.look_again(unit.session, neighbours, unit.now + outlived, but=event.case_id)
            return
        await store.incidents.look_again(unit.session, neighbours, unit.now + self.patience.settle, but=event.case_id)
        if is_conclusive(event.pattern):
            found = await store.incidents.one_open(unit.session, event.case_id)
            if found is not None:
                await self._look(unit, found)
        else:
            await store.incidents.sooner(unit.session, event.case_id, unit.now + self.patience.settle)

    async def anomaly(self, event: Anomaly, unit: Unit) -> None:
        """Evidence for the component's open incidents."""
        await store.evidence.take_anomaly(unit.session, translate.anomaly(event), event.at)
        await self._soon(unit, event.component)

    async def change(self, event: Change, unit: Unit) -> None:
        """A change may be told after the trouble that it made."""
        await store.evidence.add_change(unit.session, event.id, translate.change(event))
        await self._soon(unit, event.component)

    async def tick(self, unit: Unit) -> None:
        """Looks at what is due."""
        await self._look_at_due(unit)

    async def prune(self, unit: Unit) -> None:
        await store.incidents.prune(unit.session, unit.now, self.patience.keep)
        await self.topology.prune(unit)
        await self.experience.prune(unit)

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Looks at every open incident now."""
        looked_at = await store.incidents.look_at_all(unit.session, unit.now)
        told = await self._look_at_due(unit)
        summary = f"{looked_at} open incidents looked at, {told} diagnoses told"
        return Swept(at=unit.now, service="diagnoser", looked_at=looked_at, summary=summary)

    # ---- looking

    async def _touched_by(self, component: str, unit: Unit) -> set[str]:
        """Components whose diagnosis may change with this one's incidents."""
        return {component, *(await self.topology.graph(unit)).callers(component)}

    async def _soon(self, unit: Unit, component: str) -> None:
        at = unit.now + self.patience.settle
        await store.incidents.look_again(unit.session, {component}, at, but=None)

    async def _look_at_due(self, unit: Unit) -> int:
        return sum(
            [await self._look(unit, found) for found in await store.incidents.due(unit.session, unit.now, BATCH)]
        )

    async def _look(self, unit: Unit, found: store.incidents.OpenIncident) -> bool:
        """Diagnoses one incident; True when there was something to tell."""
        seen = translate.incident(found.incident)
        diagnosis = diagnose(seen, await self._scene(unit, seen))
        told = Told.of(diagnosis, seen.pattern, seen.severity.value, found.opening)
        last = await store.told.last_told(unit.session, seen.id)
        reason = revise(last.told() if last else None, told)
        await store.incidents.set_due(unit.session, seen.id, unit.now + self.patience.review)
        if reason is Reason.UNCHANGED:
            return False
        revision = last.revision + 1 if last else 1
        self._tell(unit, diagnosis, told, reason, revision)
        return True

    def _tell(self, unit: Unit, diagnosis: Diagnosis, told: Told, reason: Reason, revision: int) -> None:
        event = translate.event(diagnosis, revision, self.ids(), unit.now)
        row = store.DiagnosisRow(
            incident_id=diagnosis.incident_id,
            revision=revision,
            incident_revision=diagnosis.incident_revision,
            opening=told.opening,
            component=told.component,
            category=told.category,
            signature=told.signature,
            confidence=Decimal(str(told.confidence)),
            symptom_of=told.symptom_of,
            pattern=told.pattern,
            severity=told.severity,
            reason=reason.value,
            root_cause=event.model_dump(mode="json"),
            created_at=unit.now,
        )
        store.told.add_diagnosis(unit.session, row)
        unit.emit(event)
        log.info(
            "diagnosis",
            case_id=str(diagnosis.incident_id),
            reason=reason.value,
            revision=revision,
            component=told.component,
            category=told.category,
            confidence=told.confidence,
            symptom_of=str(told.symptom_of) if told.symptom_of else None,
        )

    def _measured_with(self, incident: IncidentSeen, graph: CallGraph) -> set[str]:
        """Components whose series tell of the incident: what it calls, or all of its pack where that isn't known."""
        callees = set(graph.callees(incident.component))
        placed = self.packs.component(incident.component)
        return {incident.component, *(callees or (placed.pack.components if placed else ()))}

    async def _scene(self, unit: Unit, incident: IncidentSeen) -> Scene:
        """The incident's neighbourhood: itself and everything that it calls; and of what calls it, the changes."""
        graph = await self.topology.graph(unit)
        components = {incident.component, *graph.callees(incident.component)}
        callers = {name for name, depth in graph.callers(incident.component).items() if depth == 1}
        lately = unit.now - self.patience.symptom_grace
        open_ones = [
            translate.incident(one) for one in await store.incidents.open_incidents(unit.session, components, lately)
        ]
        others = most_telling(one for one in open_ones if one.id != incident.id)
        first = min(one.opened_at for one in (incident, *others))
        since = min(first, unit.now) - timedelta(seconds=CHANGE_WINDOW_S)
        recent = unit.now - self.patience.anomaly_recent
        known = await self.experience.known(unit)
        return Scene(
            now=unit.now,
            incidents=[incident, *others],
            changes=await store.evidence.changes_of(unit.session, components | callers, since),
            anomalies=await store.evidence.anomalies_of(unit.session, components, recent),
            graph=graph,
            known_problems=translate.known_problems(self.packs),
            components={name: translate.component(self.packs, name) for name in components},
            log_categories=translate.log_categories(self.packs),
            seen=await store.telemetry.telemetry_of(
                unit.session, self._measured_with(incident, graph), first - MEASURED
            ),
            judged=known.judged,
            calibrator=known.calibrator,
        )
