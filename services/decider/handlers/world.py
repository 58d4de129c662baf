"""Gathers what a decision depends on: packs, health, records, what runs where, and the kill switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.decider.domain import (
    Approval,
    Case,
    CaseKind,
    Group,
    Inputs,
    Ledger,
    PracticeFact,
    Record,
    Standing,
    Target,
)
from services.decider.domain.life import UNAIDED
from services.decider.domain.model import ConfidenceModel
from services.decider.handlers.governor import Governor
from services.decider.store import AutonomyRow, decisions, grants, registry, trust
from shared.contracts.detector import Health, Storm
from shared.contracts.healer import AgentState, Practised
from shared.contracts.learner import Knowledge
from shared.outbox import Unit
from shared.packs import Criticality, Mode
from shared.packs.book import PackBook, Placed

SERVING = frozenset({"healthy", "warning"})


@dataclass
class HealthBook:
    """The newest health of each component."""

    _seen: dict[str, Health] = field(default_factory=dict)

    async def seen(self, component: str, health: Health | None) -> None:
        """For `bus.watch(Health, book.seen)`."""
        if health is None:
            self._seen.pop(component, None)
        else:
            self._seen[component] = health

    def status(self, component: str) -> str:
        return self._seen[component].status.value if component in self._seen else "unknown"

    def error_budget_left(self, component: str) -> float | None:
        budgets = self._seen[component].error_budgets if component in self._seen else {}
        return min(budgets.values(), default=None)

    def healthy_since(self, component: str) -> datetime | None:
        """Since when nothing at all has been wrong with it; None: something is, or nobody watches it."""
        health = self._seen.get(component)
        return health.since if health is not None and health.status.value == "healthy" else None

    def error_count(self, component: str) -> int:
        return self._seen[component].error_count if component in self._seen else 0


@dataclass
class StormBook:
    """Packs in which there is a storm of alarms, as the detector tells it."""

    _on: dict[str, Storm] = field(default_factory=dict)

    async def seen(self, pack: str, storm: Storm | None) -> None:
        """For `bus.watch(Storm, book.seen)`."""
        if storm is None or not storm.on:
            self._on.pop(pack, None)
        else:
            self._on[pack] = storm

    def words(self, pack: str) -> str:
        """What is going on; empty when nothing is."""
        storm = self._on.get(pack)
        if storm is None:
            return ""
        return f"{len(storm.alarming)} of {storm.of} components of {pack} alarm since {storm.since:%H:%M:%S} UTC"


@dataclass
class KnowledgeBook:
    """How each playbook has done on each signature."""

    _known: dict[str, Record] = field(default_factory=dict)

    async def seen(self, slug: str, event: Knowledge | None) -> None:
        """For `bus.watch(Knowledge, book.seen)`."""
        if event is None:
            self._known.pop(slug, None)
        else:
            self._known[slug] = Record(
                event.signature,
                event.playbook,
                event.runs,
                event.successes,
                event.success_rate,
                event.confidence_shift,
                event.typical_recovery_s if event.typical_recovery_s is not None else event.mean_recovery_s,
                remembered={one.kind: (one.runs, one.successes) for one in event.by_kind},
            )

    def of(self, signatures: Collection[str]) -> tuple[Record, ...]:
        found = [record for record in self._known.values() if record.signature in signatures]
        return tuple(sorted(found, key=lambda record: (record.signature, record.playbook)))


@dataclass
class PracticeBook:
    """The newest practice of each playbook, by pack."""

    _known: dict[str, Practised] = field(default_factory=dict)

    async def seen(self, slug: str, event: Practised | None) -> None:
        """For `bus.watch(Practised, book.seen)`."""
        if event is None:
            self._known.pop(slug, None)
        else:
            self._known[slug] = event

    def of(self, pack: str) -> dict[str, PracticeFact]:
        return {
            one.playbook: PracticeFact(one.at, one.spec_hash, one.passed, one.reason)
            for one in self._known.values()
            if one.pack == pack
        }


@dataclass
class AgentBook:
    """Agents on other hosts, as the healer tells of them."""

    _known: dict[str, AgentState] = field(default_factory=dict)

    async def seen(self, name: str, event: AgentState | None) -> None:
        """For `bus.watch(AgentState, book.seen)`."""
        if event is None:
            self._known.pop(name, None)
        else:
            self._known[name] = event

    def away(self, host: str | None) -> str:
        """Why nothing can be done on this host; empty when something can."""
        state = self._known.get(host) if host else None
        if host is None or (state is not None and not state.away):
            return ""
        if state is None or state.last_seen_at is None:
            return f"nothing was ever heard of the agent {host}"
        return f"the agent {host} is away since {state.last_seen_at:%H:%M:%S} UTC"


@dataclass
class Backdrop:
    """What stays as it is while a batch of cases is decided, by what was asked: read once for all of them."""

    model: ConfidenceModel | None = None
    standings: dict[frozenset[str], tuple[Standing, ...]] = field(default_factory=dict)
    records: dict[frozenset[str], tuple[Record, ...]] = field(default_factory=dict)


@dataclass
class World:
    """Everything around a case."""

    packs: PackBook
    health: HealthBook
    knowledge: KnowledgeBook
    switched_off: Callable[[], bool]
    governor: Governor
    storms: StormBook = field(default_factory=StormBook)
    practices: PracticeBook = field(default_factory=PracticeBook)
    agents: AgentBook = field(default_factory=AgentBook)

    async def lock(self, unit: Unit, *cases_: Case) -> None:
        """Deciding for the packs of these cases waits until the unit ends: two replicas never both grant."""
        placed = [self.packs.component(name) for case in cases_ for name in involved(case)]
        await grants.lock_packs(unit.session, {one.pack.pack for one in placed if one is not None})

    async def inputs(
        self, unit: Unit, case: Case, approval: Approval | None = None, backdrop: Backdrop | None = None
    ) -> Inputs:
        """What the case is decided from. The packs' locks must be held, except for a simulation."""
        backdrop = backdrop or Backdrop()
        signatures = frozenset(cause.signature for cause in case.causes)
        if backdrop.model is None:
            backdrop.model = await registry.in_force(unit.session)
        if signatures not in backdrop.records:
            backdrop.records[signatures] = await self._records(unit, signatures)
            backdrop.standings[signatures] = await self._standings(unit, signatures)
        placed = {name: one for name in involved(case) if (one := self.packs.component(name)) is not None}
        ledgers = await self.governor.ledgers(unit, case, placed)
        groups = {name: await self._group(unit, name, one) for name, one in placed.items()}
        return Inputs(
            now=unit.now,
            case=case,
            targets={name: self._target(case, name, one, ledgers[name], groups[name]) for name, one in placed.items()},
            records=backdrop.records[signatures],
            switched_off=self.switched_off(),
            approval=approval,
            standings=backdrop.standings[signatures],
            model=backdrop.model,
        )

    async def _records(self, unit: Unit, signatures: Collection[str]) -> tuple[Record, ...]:
        """What the learner knows, with how much of it was on which kind of component."""
        records = {(one.signature, one.playbook): one for one in self.knowledge.of(signatures)}
        words = await trust.words_on(unit.session, signatures)
        for signature, playbook in words.keys() - records.keys():
            records[signature, playbook] = Record(signature, playbook, 0, 0, 0.5, 0.0)
        by_kind = await grants.by_kind(unit.session, {signature for signature, _ in records})
        return tuple(
            replace(
                one,
                of_kind=by_kind.get(pair, {}),
                overruled=words.get(pair, (0, 0))[0],
                endorsed=words.get(pair, (0, 0))[1],
            )
            for pair, one in sorted(records.items())
        )

    async def _standings(self, unit: Unit, signatures: Collection[str]) -> tuple[Standing, ...]:
        rows = await trust.standings(unit.session, signatures)
        return tuple(standing_of(row) for row in rows)

    async def is_unaided(self, unit: Unit, case_id: UUID | None) -> bool:
        """Nothing is done about this case by anyone but a person."""
        reason = await decisions.last_reason(unit.session, case_id) if case_id else None
        return reason in {one.value for one in UNAIDED}

    def _target(self, case: Case, name: str, placed: Placed, ledger: Ledger, group: Group | None) -> Target:
        health = self.health.status(name)
        if case.kind is CaseKind.INCIDENT and name == case.component and case.severity == "critical":
            health = "critical"  # the incident may be heard before the health that it makes
        dependents = self.packs.dependents_of(name)
        return Target(
            name=name,
            pack=placed.pack.pack,
            pack_version=placed.version,
            mode=placed.pack.mode,
            component=placed.component,
            policy=placed.pack.policy,
            playbooks=placed.pack.playbooks,
            knobs=tuple(knob for knob in placed.pack.knobs if knob.component == name),
            dependents=len(dependents),
            dependents_by_criticality=self._by_criticality(dependents),
            error_budget_left=self.health.error_budget_left(name),
            maintenance=maintenance_of(name, placed),
            others=self._needed() - 1,
            health=health,
            error_count=self.health.error_count(name),
            group=group,
            ledger=ledger,
            agent_away=self.agents.away(placed.component.host),
            practised=self.practices.of(placed.pack.pack),
            storm=self.storms.words(placed.pack.pack),
        )

    def _needed(self) -> int:
        """Components of all packs; practice targets are part of nothing."""
        components = [one for applied in self.packs.packs.values() for one in applied.pack.components.values()]
        return sum(not one.practice for one in components)

    def _by_criticality(self, names: Collection[str]) -> dict[Criticality, int]:
        found = Counter(one.component.criticality for name in names if (one := self.packs.component(name)))
        return dict(sorted(found.items()))

    async def _group(self, unit: Unit, name: str, placed: Placed) -> Group | None:
        group = placed.component.group
        if group is None:
            return None
        members = [other for other, component in placed.pack.components.items() if component.group == group]
        others = [other for other in members if other != name]
        busy = await grants.busy_components(unit.session, others)
        healthy = sum(self.health.status(other) in SERVING and other not in busy for other in others)
        return Group(group, len(members), healthy, len(busy))


def standing_of(row: AutonomyRow) -> Standing:
    return Standing(
        pack=row.pack,
        signature=row.signature,
        playbook=row.playbook,
        level=Mode(row.level),
        since=row.at,
        by=row.by,
        cooling_until=row.cooling_until,
        words=row.words,
    )


def involved(case: Case) -> list[str]:
    """Components that a decision of the case may look at."""
    names = [case.component, *(cause.component for cause in case.causes), *(one.component for one in case.tried)]
    return list(dict.fromkeys(names))


def maintenance_of(name: str, placed: Placed) -> tuple[str, ...]:
    """Windows in which nothing is done to the component: those that mute it, its group, or the whole pack."""
    return tuple(
        one.when
        for one in placed.pack.maintenance
        if one.mute and (one.component in {None, name}) and (one.group is None or one.group == placed.component.group)
    )
