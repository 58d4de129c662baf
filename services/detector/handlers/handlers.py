"""One short method per event and request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

import structlog

from services.detector import store
from services.detector.domain.fold import TICK_PROBE, PartitionState
from services.detector.domain.incidents import IncidentPolicy
from services.detector.domain.removed import removed
from services.detector.domain.signals import AnomalyFound, Effect, HealthChanged, IncidentRevised, PatternsSeen
from services.detector.domain.silences import Silence
from services.detector.domain.watch import Watch, compile_packs
from services.detector.handlers import wire
from services.detector.handlers.fold import WireFold
from shared import telemetry
from shared.bus import partition_of
from shared.contracts.base import Event
from shared.contracts.detector import LogPatterns, LogPatternsRequest, Swept
from shared.contracts.gateway import Silence as SilenceEvent
from shared.contracts.healer import Phase, RunProgress, SweepRequest
from shared.contracts.ingest import Change, ChangeKind, Check, CheckKind, CheckResult
from shared.contracts.learner import AlarmRecord
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.library import library
from shared.packs.model import Probe

log = structlog.get_logger()

_REPAIRS = UUID("0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c03")
TOUCHING = frozenset({Phase.PLANNED, Phase.STEP, Phase.ROLLING_BACK})
"""Before the first touch, at each, and before undoing: each starts the time of grace anew."""
"""Phases of a run during which its component may go down and up by the run's own doing."""


class Runner(Protocol):
    """Whoever runs the probes."""

    def configure(self, probes: Iterable[tuple[Probe, frozenset[str]]]) -> None:
        """Run exactly these; each with the hosts it may call."""

    async def sweep(self) -> int:
        """Run all of them now; how many there were."""


@dataclass
class Handlers:
    """Holds the rules in force and the partitions this replica owns."""

    packs: PackBook
    runner: Runner
    publish: Callable[[Event], Awaitable[None]]
    ids: Callable[[], UUID]
    policy: IncidentPolicy
    repair_grace_s: float
    retention: timedelta
    probes_on: bool = True
    folds: Callable[[], Iterable[WireFold]] = field(default=lambda: ())
    watch: Watch = field(default_factory=Watch)
    owned: frozenset[int] = frozenset()
    declared: set[str] = field(default_factory=set)
    """Names of probes that a pack has declared since this process began."""
    silences: dict[str, Silence] = field(default_factory=dict)
    _worth_places: dict[str, tuple[str, str]] = field(default_factory=dict)

    # ---- telemetry

    def make_fold(self, _partition: int) -> WireFold:
        return WireFold(PartitionState(self.watch, self.policy, self.repair_grace_s))

    async def commit(self, unit: Unit, effects: Sequence[Effect]) -> None:
        """Tables and events in the transaction that also keeps the state they follow from."""
        incidents = [effect for effect in effects if isinstance(effect, IncidentRevised)]
        healths = [effect for effect in effects if isinstance(effect, HealthChanged)]
        await store.save_incidents(unit.session, [wire.incident_row(each, unit.now) for each in incidents])
        await store.save_health(unit.session, [wire.health_row(each) for each in healths])
        for each in healths:
            for objective, left in each.budgets.items():
                telemetry.ERROR_BUDGET.labels(each.component, objective).set(left)
        for effect in effects:
            match effect:
                case PatternsSeen():
                    await self._keep_patterns(unit, effect)
                case IncidentRevised():
                    log.info(
                        "incident",
                        case_id=str(effect.incident_id),
                        transition=effect.transition.value,
                        component=effect.component,
                        pattern=effect.pattern,
                        revision=effect.revision,
                    )
                    unit.emit(wire.incident(effect, self.watch.worth.get((effect.component, effect.pattern))))
                case AnomalyFound():
                    unit.emit(wire.anomaly(effect))
        # All of them, also when a backlog is folded at once: whoever judges a repair must know when errors happened.
        for each in healths:
            unit.emit(wire.health(each))

    async def _keep_patterns(self, unit: Unit, seen: PatternsSeen) -> None:
        await store.save_log_patterns(unit.session, wire.log_pattern_rows(seen))
        if seen.gone:
            await store.drop_log_patterns(unit.session, seen.component, seen.gone)

    def partitions_changed(self, owned: frozenset[int]) -> None:
        self.owned = owned
        self._run_probes()

    # ---- packs

    def packs_changed(self) -> None:
        """New rules hold from the next message on; what was learned and what is open stay."""
        try:
            packs = [applied.pack for applied in self.packs.packs.values()]
            self.watch = replace(compile_packs(packs, self.silences.values(), library()), worth=self.watch.worth)
        except ValueError as error:
            log.error("a pack's rule can't be read; the former rules stay", error=str(error))
            return
        self.declared |= self.watch.probes.keys()
        for fold in self.folds():
            fold.state.configure(self.watch)
        self._run_probes()

    async def silence_seen(self, slot: str, event: SilenceEvent | None) -> None:
        """For `bus.watch(Silence, …)`: holds from the next message on, like a pack."""
        if event is None:
            self.silences.pop(slot, None)
        else:
            self.silences[slot] = wire.silence(event)
        people = tuple(self.silences.values())
        self.watch = replace(self.watch, silences=replace(self.watch.silences, people=people))
        for fold in self.folds():
            fold.state.configure_silences(self.watch)

    async def alarms_judged(self, slug: str, record: AlarmRecord | None) -> None:
        """For `bus.watch(AlarmRecord, …)`: how urgent the next alarm is depends on what came of those before."""
        former = self._worth_places.pop(slug, None)
        worth = {place: one for place, one in self.watch.worth.items() if place != former}
        if record is not None and record.precision is not None:
            self._worth_places[slug] = (record.component, record.pattern)
            worth[record.component, record.pattern] = wire.worth(record)
        self.watch = replace(self.watch, worth=worth)
        for fold in self.folds():
            fold.state.configure_silences(self.watch)

    def _run_probes(self) -> None:
        if not self.probes_on:
            return
        self.runner.configure(
            (probe, frozenset(applied.pack.http_hosts))
            for applied in self.packs.packs.values()
            for probe in applied.pack.probes
            if partition_of(probe.component) in self.owned
        )

    # ---- events and requests

    async def repair_progress(self, event: RunProgress, _unit: Unit) -> None:
        """A repair is told to the partition's state in stream order, so that its exits aren't mistaken for crashes."""
        if event.dry_run or event.phase not in TOUCHING:
            return
        await self.publish(
            Change(
                id=uuid5(_REPAIRS, str(event.id)),
                at=event.at,
                component=event.component,
                kind=ChangeKind.REPAIR,
                summary=f"{event.playbook}: {event.phase.value} {event.step}".strip(),
                ref=str(event.decision_id),
            )
        )

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Looks at everything this replica watches, now."""
        looked_at = await self.runner.sweep()
        open_ = await store.count_open(unit.session)
        summary = f"{looked_at} probes run, {open_} incidents open"
        return Swept(id=self.ids(), at=unit.now, service="detector", looked_at=looked_at, summary=summary)

    async def log_patterns(self, request: LogPatternsRequest, unit: Unit) -> LogPatterns:
        """What components keep saying, the worst first."""
        rows = await store.log_patterns(unit.session, request.component, request.limit, errors_only=request.errors_only)
        return LogPatterns(patterns=tuple(wire.log_pattern(row) for row in rows))

    # ---- periodic

    async def tick(self, unit: Unit) -> None:
        """Lets time pass for components with open incidents, also when nobody reports on them any more, and ends
        those of probes that no pack asks for any more."""
        for component in await store.components_with_open_incidents(unit.session):
            await self._let_time_pass(component, unit.now)
        for component, probe in removed(await store.open_probe_incidents(unit.session), self.watch, self.declared):
            await self.publish(
                Check(
                    id=self.ids(),
                    at=unit.now,
                    component=component,
                    probe=probe,
                    kind=CheckKind.CUSTOM,
                    result=CheckResult.OK,
                    detail="no pack asks for this probe any more",
                )
            )

    async def heartbeat(self, unit: Unit) -> None:
        """Lets time pass in every partition of this replica: what is silent there must be noticed too."""
        for component in [fold.state.any_component() for fold in self.folds()]:
            if component is not None:
                await self._let_time_pass(component, unit.now)

    async def _let_time_pass(self, component: str, now: datetime) -> None:
        await self.publish(
            Check(
                id=self.ids(),
                at=now,
                component=component,
                probe=TICK_PROBE,
                kind=CheckKind.CUSTOM,
                result=CheckResult.OK,
            )
        )

    async def prune(self, unit: Unit) -> None:
        await store.prune_incidents(unit.session, unit.now, self.retention)
        await store.prune_positions(unit.session, unit.now, self.retention)
        await store.prune_log_patterns(unit.session, unit.now, self.retention)
