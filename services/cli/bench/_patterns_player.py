"""Plays a scenario through the code that production runs: the detector's fold and the diagnoser's decisions.

Stream order is kept and no clock is read: time is that of the messages. The diagnoser's timing is that of its handlers:
a conclusive pattern at once, others when their neighbours have had time to raise alarm, all anew at each review.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from services.cli.bench._patterns_suite import Message, Scenario
from services.detector.domain.fold import TICK_PROBE, PartitionState
from services.detector.domain.signals import AnomalyFound, IncidentRevised
from services.detector.domain.watch import Watch, compile_packs
from services.detector.handlers import wire
from services.detector.handlers.fold import WireFold
from services.diagnoser.domain import AnomalySeen, CallGraph, ChangeSeen, Diagnosis, IncidentSeen, Scene, diagnose
from services.diagnoser.domain.changes import CHANGE_WINDOW_S
from services.diagnoser.domain.own import most_telling
from services.diagnoser.domain.patterns import is_conclusive
from services.diagnoser.domain.ranking import Seen
from services.diagnoser.handlers import Patience, translate
from services.diagnoser.handlers.telemetry import TelemetryFold
from shared.contracts.detector import Incident
from shared.contracts.gateway import PackApplied
from shared.contracts.ingest import Change, Check, CheckKind, CheckResult
from shared.packs import Pack
from shared.packs.book import PackBook
from shared.packs.library import library

TICK_S = 5.0
"""How often time is let pass, as the detector does for itself."""
_TICKS = UUID("5d0c5c0b-8f6c-5d55-9a40-64c1bd6f3a01")


@dataclass
class Told:
    """One incident as it came and went, with the newest diagnosis."""

    seen: IncidentSeen
    opened_now: float
    openings: int = 1
    resolved_now: float | None = None
    due: float | None = None
    diagnosis: Diagnosis | None = None
    worst: str = ""
    """Severity."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known at one time: open incidents with their diagnoses."""

    at: float
    diagnoses: tuple[Diagnosis, ...]


@dataclass
class Played:
    """All that was told in one scenario."""

    incidents: list[Told] = field(default_factory=list)
    anomalies: list[tuple[float, str]] = field(default_factory=list)
    """(when, component)."""
    moments: list[Moment] = field(default_factory=list)
    """At the times that were asked for."""
    began: float = 0.0
    ended: float = 0.0


async def book_of(pack: Pack) -> PackBook:
    """The pack in force, as services see it."""
    packs = PackBook()
    at = datetime.fromtimestamp(0, UTC)
    body = pack.model_dump(mode="json", by_alias=True, exclude_unset=True)
    await packs.seen(pack.pack, PackApplied(at=at, pack=pack.pack, version=1, applied_by="bench", body=body))
    return packs


def play(
    scenario: Scenario, packs: PackBook, *, known: bool = True, measured: bool = True, moments: tuple[float, ...] = ()
) -> Played:
    """`known`: with the library of known problems; `measured`: with the diagnoser's memory of readings, which takes
    most of the time; `moments`: when to keep what was known, in order."""
    watch = compile_packs([scenario.pack], (), library()) if known else compile_packs([scenario.pack])
    return _Player(packs, watch, measured=measured).run(scenario.messages(), list(moments))


class _Player:
    def __init__(self, packs: PackBook, watch: Watch, *, measured: bool) -> None:
        self._packs = packs
        self._fold = WireFold(PartitionState(watch))
        self._patience = Patience()
        components = {name: one for each in packs.packs.values() for name, one in each.pack.components.items()}
        self._graph = CallGraph({name: one.calls for name, one in components.items()})
        self._readings = TelemetryFold() if measured else None
        self._measured: dict[str, Seen] = {}
        self._known_problems = translate.known_problems(packs)
        self._categories = translate.log_categories(packs)
        self._told: dict[UUID, Told] = {}
        self._changes: list[ChangeSeen] = []
        self._anomalies: list[tuple[float, AnomalySeen]] = []
        self._played = Played()

    def run(self, messages: Iterable[Message], moments: list[float]) -> Played:
        first = next(iter(self._packs.packs.values())).pack
        component = next(iter(first.components))
        ticked = 0.0
        for now, event in messages:
            self._played.began = self._played.began or now
            ticked = ticked or now
            while ticked + TICK_S <= now:
                ticked += TICK_S
                self._apply(_tick(component, ticked), ticked)
            while moments and now >= moments[0]:
                self._keep_moment(moments.pop(0))
            if isinstance(event, Change):
                self._changes.append(translate.change(event))
                self._soon({event.component}, now)
            if self._readings is not None:
                for told in self._readings.apply(event, datetime.fromtimestamp(now, UTC)):
                    self._measured[told.seen.component] = told.seen
            self._apply(event, now)
            self._played.ended = now
        for at in moments:
            self._keep_moment(at)
        self._played.incidents = list(self._told.values())
        return self._played

    def _apply(self, event: object, now: float) -> None:
        self._look_at_due(now)
        for effect in self._fold.apply(event, datetime.fromtimestamp(now, UTC)):  # type: ignore[arg-type]
            match effect:
                case IncidentRevised():
                    self._take(wire.incident(effect), now)
                case AnomalyFound():
                    self._played.anomalies.append((now, effect.component))
                    self._anomalies.append((now, translate.anomaly(wire.anomaly(effect))))
                    self._soon({effect.component}, now)

    def _take(self, event: Incident, now: float) -> None:
        seen = translate.incident(event)
        told = self._told.get(seen.id)
        if told is None:
            told = self._told[seen.id] = Told(seen, now)
        elif told.resolved_now is not None and event.is_open:
            told.openings += 1
        told.seen = seen
        told.resolved_now = None if event.is_open else now
        told.worst = max(told.worst, seen.severity.value, key=("", "warning", "critical").index)
        settle_s = self._patience.settle.total_seconds()
        neighbours = {seen.component, *self._packs.dependents_of(seen.component)}
        if not event.is_open:
            told.due = None
            self._soon(neighbours, now + self._patience.symptom_grace.total_seconds())
            return
        self._soon(neighbours, now)
        told.due = now if is_conclusive(event.pattern) else min(told.due or now + settle_s, now + settle_s)

    def _soon(self, components: set[str], now: float) -> None:
        at = now + self._patience.settle.total_seconds()
        for told in self._told.values():
            if told.resolved_now is None and told.seen.component in components:
                told.due = min(told.due or at, at)

    def _look_at_due(self, now: float) -> None:
        for told in self._told.values():
            if told.due is not None and told.due <= now and told.resolved_now is None:
                told.diagnosis = diagnose(told.seen, self._scene(told.seen, now))
                told.due = now + self._patience.review.total_seconds()

    def _scene(self, incident: IncidentSeen, now: float) -> Scene:
        components = {incident.component, *self._graph.callees(incident.component)}
        lately = now - self._patience.symptom_grace.total_seconds()
        open_ones = [
            each.seen
            for each in self._told.values()
            if each.seen.component in components and (each.resolved_now is None or each.resolved_now >= lately)
        ]
        others = most_telling(one for one in open_ones if one.id != incident.id)
        first = min(one.opened_at for one in (incident, *others))
        since = first - timedelta(seconds=CHANGE_WINDOW_S)
        callers = {name for name, depth in self._graph.callers(incident.component).items() if depth == 1}
        recent = now - self._patience.anomaly_recent.total_seconds()
        self._anomalies = [each for each in self._anomalies if each[0] >= recent]
        return Scene(
            now=datetime.fromtimestamp(now, UTC),
            incidents=[incident, *others],
            changes=[each for each in self._changes if each.component in components | callers and each.at >= since],
            anomalies=[each for _, each in self._anomalies if each.component in components],
            graph=self._graph,
            known_problems=self._known_problems,
            components={name: translate.component(self._packs, name) for name in components},
            log_categories=self._categories,
            seen=[self._measured[name] for name in self._measured_with(incident) if name in self._measured],
        )

    def _measured_with(self, incident: IncidentSeen) -> list[str]:
        """Components whose series tell of the incident: what it calls, or all where that isn't known."""
        callees = self._graph.callees(incident.component)
        return sorted({incident.component, *(callees or self._measured)})

    def _keep_moment(self, at: float) -> None:
        self._look_at_due(at)
        open_ones = [each for each in self._told.values() if each.resolved_now is None]
        self._played.moments.append(Moment(at, tuple(each.diagnosis for each in open_ones if each.diagnosis)))


def _tick(component: str, now: float) -> Check:
    return Check(
        id=uuid5(_TICKS, repr(now)),
        at=datetime.fromtimestamp(now, UTC),
        component=component,
        probe=TICK_PROBE,
        kind=CheckKind.CUSTOM,
        result=CheckResult.OK,
    )
