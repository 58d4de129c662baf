"""The decider and any number of healers, as they are, over tables in memory, on a bus that loses order and repeats.

Their handlers, decisions, workflows, guards and records are the product's. Only what lies under them is stood in for:
the queries, the workflow engine's log of finished steps, the things acted on, and time. A run is a coroutine that
stops wherever its process may be killed, frozen or overtaken. What is touched and told is noted for the promises.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.decider.handlers import Casework, Governor, HealthBook, KnowledgeBook, Pace, People, World
from services.decider.handlers import Handlers as DeciderHandlers
from services.decider.store import CaseRow, DecisionRow, GrantRow
from services.healer.clients.base import ActuatorError, Done, Facts
from services.healer.domain.conditions import Figure
from services.healer.domain.runs import RunStatus
from services.healer.handlers import Handlers as HealerHandlers
from services.healer.handlers import HealthBook as ErrorBook
from services.healer.store.models import Run
from services.healer.workflows import acting, conditions, durability, journal
from services.healer.workflows.acting import Acting
from services.healer.workflows.applying import Applying
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import Guard, LeaseBook
from services.healer.workflows.heal import Heal
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.preparing import Preparing
from services.healer.workflows.restoring import Restoring
from services.healer.workflows.undoing import RollingBack
from services.healer.workflows.vault import Vault
from shared.contracts.base import Event, Severity
from shared.contracts.decider import Answer, Decision, Lease, LeaseState, Plan, Verb, Verdict
from shared.contracts.detector import DetectionMethod, Health, HealthStatus, Incident, Transition
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import LeaseRenewal, Outcome
from shared.packs import Category
from shared.packs.book import PackBook
from shared.packs.playbook import Step
from tests.unit.governor import stores
from tests.unit.governor.memory import BrokenError, Crash, Database, Faults, Pause, Unit, Units
from tests.unit.governor.promises import (
    Allowed,
    Order,
    Seen,
    Touch,
    every_run_ends_succeeded_rolled_back_or_escalated,
)

BEGIN = datetime(2026, 1, 7, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUICK = {"validate": {"window_s": 2, "clear": "none"}, "cooldown_s": 5, "automation_level": "full-auto"}
STEP = {"process.restart": {}, "timeout_s": 10}
AGAIN = {**STEP, "retry": {"attempts": 2, "backoff_s": 1}, "rollback": {"process.stop": {}, "timeout_s": 10}}
PACK: dict[str, Any] = {
    "pack": "shop",
    "mode": "auto",
    "components": {name: {"group": "web"} for name in ("a", "b", "c", "d")} | {"e": {}, "f": {}},
    "playbooks": {
        "restart": {"for": ["crash", "overload"], "steps": [STEP], **QUICK},
        "twice": {"for": ["memory-leak"], "steps": [AGAIN, STEP], "then": "page-a-human", **QUICK},
        "careful": {"for": ["configuration"], "steps": [STEP], **QUICK, "automation_level": "semi-auto"},
        "bold": {"for": ["disk"], "steps": [STEP], **QUICK, "risk": 0.95},
    },
    "policy": {
        "actions_per_hour": 6, "component_actions_per_hour": 3, "max_targets_at_once": 2, "max_group_share": 0.25,
        "min_healthy": {"web": 0.5}, "max_attempts": 3, "risk_max": 0.9, "confidence": 0.5, "ask_expires_s": 60,
    },
}  # fmt: skip
WATCHED = {
    "pack": "watched", "mode": "observe", "components": {"w": {}},
    "playbooks": {"restart": {"for": ["crash", "overload"], "steps": [STEP], **QUICK}},
}  # fmt: skip
COMPONENTS = ("a", "b", "c", "d", "e", "f", "w")
GROUP = ("a", "b", "c", "d")
SERVING = {"healthy", "warning"}


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs what is never interrupted to its end."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            return end.value


@dataclass(eq=False)
class Workflow:
    """What the engine keeps of a run: finished steps and whose it is. All of it outlives processes."""

    decision: Decision
    executor: int
    outputs: list[tuple[str, str]] = field(default_factory=list)
    status: str = "pending"
    executions: int = 0


@dataclass(eq=False)
class Execution:
    """A process at work on a workflow. `where`: at which point it was left."""

    replica: Replica
    workflow: Workflow
    number: int
    work: Coroutine[Any, Any, str] | None = None
    done: int = 0
    where: str = "begin"

    async def step(self, name: str, body: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """As the engine does it: from the log where it has run, else run and logged."""
        outputs = self.workflow.outputs
        if self.done == len(outputs):
            await Pause(f"before {name}")
            result = await body()
            await Pause(f"after {name}")
            if self.done == len(outputs):  # a process that was overtaken finds it logged by another
                outputs.append((name, result))
        known, result = outputs[self.done]
        if known != name:
            raise BrokenError(f"a workflow came another way the second time: {known}, then {name}")
        self.done += 1
        return result


@dataclass(eq=False)
class Replica:
    """One healer."""

    name: int
    model: Model
    alive: bool = False
    frozen: bool = False
    overtaken: bool = False
    """Its slot is another's: whatever it still does, that one does too."""
    skew_s: float = 0.0
    life: int = 0
    faults: Faults = field(default_factory=Faults)

    def start(self) -> None:
        self.alive, self.frozen, self.overtaken, self.life = True, False, False, self.life + 1
        model = self.model
        units = Units("healer", model.healer_db, self.clock, model.publish, self.faults)
        notes, self.errors, self.leases = Journal(units), ErrorBook(), LeaseBook()  # type: ignore[arg-type]
        self.guard = Guard(
            notes, self.leases, self.clock, lambda: model.switched_off, f"{self.name}.{self.life}", model.ids
        )
        toolbox: Any = SimpleNamespace(actuators=self._actuators, undoers=self._undoers)
        finishing = Finishing(notes, freed=lambda component: self.handlers.freed(component))
        asked = Conditions(notes, self.clock, model.packs, self.errors.standings, _no_figures)
        acts = Acting(notes, self.clock, self.errors.errors_of, asked, self.guard)
        places: Any = None  # no step here changes files
        self.heal = Heal(
            preparing=Preparing(notes, toolbox, timedelta(seconds=900)),
            conditions=asked,
            applying=Applying(toolbox, acts, asked),
            acting=acts,
            rolling_back=RollingBack(notes, toolbox, acts, Restoring(notes, Vault(), places)),
            finishing=finishing,
        )
        self.units = units
        self.handlers = _Handlers(notes, _engine(self), finishing, timedelta(days=9))
        for lease in model.last_leases.values():
            finish(self.leases.seen(lease.component, lease))
        for workflow in model.workflows.values():
            if workflow.executor == self.name and workflow.status == "pending":
                self.execute(workflow)

    def clock(self) -> datetime:
        return self.model.now + timedelta(seconds=self.skew_s)

    def execute(self, workflow: Workflow) -> None:
        workflow.executor, workflow.executions = self.name, workflow.executions + 1
        execution = Execution(self, workflow, workflow.executions)
        execution.work = self.heal.run(workflow.decision)
        self.model.executions.append(execution)

    def kill(self) -> None:
        self.alive = False
        for execution in [one for one in self.model.executions if one.replica is self]:
            self.model.executions.remove(execution)
            if execution.work is not None:
                execution.work.close()

    def does(self, work: Callable[[Unit], Coroutine[Any, Any, Any]]) -> bool:
        """A unit of work; False when the process died in it."""
        return self.survives(lambda: finish(_in_unit(self.units, work)))

    def survives(self, work: Callable[[], Any]) -> bool:
        try:
            work()
        except Crash:
            self.kill()
            return False
        return True

    def _actuators(self, decision: Decision) -> list[Thing]:
        return [Thing(self.model, decision, i) for i, _ in enumerate(plan_of(decision).spec.steps)]

    def _undoers(self, plan: Plan, _run: UUID, decision: Decision | None = None) -> dict[int, Thing]:
        """Those of a plan without a decision are made to see that they can be, and never used."""
        own = [i for i, step in enumerate(plan.spec.steps) if isinstance(step.rollback, Step)]
        return {i: Thing(self.model, decision, i) for i in own if decision is not None}


async def _no_figures(_component: str, _since: datetime) -> dict[str, Figure]:
    return {}


class _Handlers(HealerHandlers):
    """What it starts in the background is done at once."""

    def _spawn(self, work: Coroutine[None, None, None], context: object = None) -> None:
        finish(work)


def _engine(replica: Replica) -> Any:
    async def start(decision: Decision) -> None:
        known = replica.model.workflows
        if decision.decision_id not in known:
            known[decision.decision_id] = Workflow(decision, replica.name)
            replica.execute(known[decision.decision_id])

    async def ended_without_result(ids: Sequence[str]) -> dict[str, bool | None]:
        known = {str(one): workflow.status == "error" for one, workflow in replica.model.workflows.items()}
        return {one: known.get(one) for one in ids}

    return SimpleNamespace(start=start, ended_without_result=ended_without_result)


async def _in_unit(units: Units, work: Callable[[Unit], Coroutine[Any, Any, Any]]) -> Any:
    async with units.begin() as unit:
        return await work(unit)


@dataclass
class Thing:
    """What is acted on: it notes who acts, and may refuse."""

    model: Model
    decision: Decision
    index: int

    files: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        return f"thing:{self.decision.component}"

    async def observe(self) -> Facts:
        return {}

    def describe(self, seen: Facts) -> str:
        return f"acts on {self.decision.component}"

    async def apply(self, seen: Facts) -> Done:
        self.model.acts(self.decision)
        await Pause("acting")
        if self.model.refuses:
            raise ActuatorError("it does not")
        return Done("did")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        self.model.acts(self.decision)
        await Pause("acting")
        return Done("undone")


@dataclass(eq=False)
class Model:
    """All of it, and what is known of how it must be."""

    now: datetime = BEGIN
    jumped: bool = False
    switched_off: bool = False
    refuses: bool = False
    """Things act up: steps fail."""
    bus: list[tuple[str, Event]] = field(default_factory=list)
    workflows: dict[UUID, Workflow] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    last_leases: dict[str, Lease] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, "healthy"))
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, 0))
    incidents: dict[str, Incident] = field(default_factory=dict)
    issued: dict[UUID, Decision] = field(default_factory=dict)
    """Orders to act, as the decider told them."""
    asked: list[Decision] = field(default_factory=list)
    granted: list[tuple[datetime, Decision]] = field(default_factory=list)
    begun: dict[UUID, str] = field(default_factory=dict)
    """Runs that have touched their component."""
    current: Execution | None = None
    acted: int = 0
    seen: Seen = field(default_factory=Seen)
    _count: int = 0

    def __post_init__(self) -> None:
        self.decider_db = Database(stores.UNIQUE_IN_DECIDER)
        self.healer_db = Database(stores.UNIQUE_IN_HEALER)
        self.faults = Faults()
        self.units = Units("decider", self.decider_db, lambda: self.now, self.publish, self.faults)
        self.packs, self.health = PackBook(), HealthBook()
        governor = Governor(self.ids)
        world = World(self.packs, self.health, KnowledgeBook(), lambda: self.switched_off, governor)
        work = Casework(world, governor, Pace(), self.ids)
        self.governor, self.decider, self.people = governor, DeciderHandlers(work), People(work)
        for body in (PACK, WATCHED):
            event = PackApplied(at=self.now, pack=body["pack"], version=1, applied_by="t", body=body)
            finish(self.packs.seen(body["pack"], event))
        policy = self.packs.packs["shop"].pack.policy
        self.allowed = Allowed(
            policy.actions_per_hour, policy.component_actions_per_hour, policy.max_targets_at_once,
            policy.min_healthy["web"], policy.max_group_share,
        )  # fmt: skip
        self.replicas = [Replica(0, self), Replica(1, self)]
        for component in COMPONENTS:
            self.feels(component, "healthy")
        for replica in self.replicas:
            replica.start()

    def ids(self) -> UUID:
        self._count += 1
        return UUID(int=self._count)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Puts the model's queries, engine, clock and pauses in the place of the real ones."""
        stores.install(patch)
        waiting = SimpleNamespace(sleep=lambda _s: Pause("waiting"), timeout=lambda _s: NoLimit())
        patch.setattr(acting, "asyncio", waiting)
        patch.setattr(conditions, "asyncio", waiting)
        patch.setattr(journal, "asyncio", waiting)
        patch.setattr(durability, "DBOS", SimpleNamespace(run_step_async=self._durable))

    async def _durable(self, options: dict[str, str], body: Callable[[], Coroutine[Any, Any, str]]) -> str:
        assert self.current is not None
        return await self.current.step(options["name"], body)

    # ---- the bus

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Decision():
                    self._decided(event)
                    self.bus.append(("healer", event))
                case Lease():
                    self._leased(event)
                case Outcome() | LeaseRenewal():
                    self.bus.append(("decider", event))

    def deliver(self, number: int, replica: Replica, *, again: bool) -> None:
        """Any message goes next; `again`: it is not known to have been handled, and comes once more."""
        whose, event = self.bus[number]
        died = not (self._to_decider(event) if whose == "decider" else self._to_healer(replica, event))
        if not again and not died:
            self.bus.remove((whose, event))

    def _to_decider(self, event: Event) -> bool:
        handler: Any = {
            Incident: self.decider.incident,
            Diagnosis: self.decider.diagnosis,
            Outcome: self.decider.outcome,
            LeaseRenewal: self.governor.renewal,
        }[type(event)]
        return self.decides(lambda unit: _once(self.decider_db, event, handler, unit))

    def _to_healer(self, replica: Replica, event: Event) -> bool:
        handler: Any = {Incident: replica.handlers.incident, Decision: replica.handlers.decided}[type(event)]
        return replica.does(lambda unit: _once(self.healer_db, event, handler, unit))

    def decides(self, work: Callable[[Unit], Coroutine[Any, Any, Any]]) -> bool:
        """A unit of work of the decider, which keeps nothing but its tables; False when it died in it."""
        try:
            finish(_in_unit(self.units, work))
        except Crash:
            return False
        return True

    # ---- the world outside

    def feels(self, component: str, status: str, errors: int = 0) -> None:
        self.status[component] = status
        self.errors[component] += errors
        health = Health(
            id=self.ids(), at=self.now, component=component, status=HealthStatus(status), since=self.now,
            error_count=self.errors[component],
        )  # fmt: skip
        finish(self.health.seen(component, health))
        for replica in self.replicas:
            if replica.alive:
                finish(replica.errors.seen(component, health))

    def trouble(self, component: str, category: str) -> None:
        """An incident opens, or ends when there is one."""
        known = self.incidents.pop(component, None)
        incident = Incident(
            id=self.ids(), at=self.now, component=component, case_id=known.case_id if known else self.ids(),
            revision=known.revision + 1 if known else 1,
            transition=Transition.RESOLVED if known else Transition.OPENED, fingerprint=component, pattern="p",
            method=DetectionMethod.PROBE, severity=Severity.WARNING, summary="s",
            opened_at=known.opened_at if known else self.now, last_seen_at=self.now,
            resolved_at=self.now if known else None,
        )  # fmt: skip
        self.bus += [("decider", incident), ("healer", incident)]
        if known is None:
            self.incidents[component] = incident
            cause = Cause(component=component, category=Category(category), confidence=0.99, signature=f"{category}:p")
            self.bus.append(
                ("decider", Diagnosis(id=self.ids(), at=self.now, component=component, case_id=incident.case_id,
                                      revision=1, incident_revision=1, causes=(cause,), report="r"))
            )  # fmt: skip

    def answer(self, number: int, verb: Verb) -> None:
        decision = self.asked[number % len(self.asked)]
        said = Answer(id=self.ids(), at=self.now, decision_id=decision.decision_id, verb=verb, by="ann")
        self.decides(lambda unit: self.people.answer(said, unit))  # type: ignore[arg-type]

    def advance(self, execution: Execution) -> None:
        """Lets a process go on with a run up to the next point where it may be stopped."""
        assert execution.work is not None
        self.current = execution
        try:
            if execution.replica.survives(lambda: self._send(execution)):
                return
        finally:
            self.current = None

    def _send(self, execution: Execution) -> None:
        assert execution.work is not None
        try:
            execution.where = execution.work.send(None)
        except StopIteration:
            execution.workflow.status = "success"
            self.executions.remove(execution)

    # ---- what is seen

    def acts(self, decision: Decision) -> None:
        """Something is about to be touched."""
        self.acted += 1
        execution, component = self.current, decision.component
        assert execution is not None
        order = self.issued.get(decision.decision_id)
        others = {
            one for one, where in self.begun.items()
            if where == component and one != decision.decision_id and not self._is_final(one)
        }  # fmt: skip
        self.begun[decision.decision_id] = component
        grant = self.decider_db.table(GrantRow).get(decision.decision_id)
        touch = Touch(
            decision=decision,
            ordered=order is not None and order.component == component,
            switched_off=self.switched_off,
            by_its_holder=self.healer_db.table(Run)[decision.decision_id].holder == execution.replica.guard.me,
            others_here=frozenset(others),
            lease_is_over=not self.jumped and grant is not None and grant.finished_at is not None,
            targets_at_once=0
            if self.jumped
            else len({self.begun[one] for one in self.begun if not self._is_final(one)}),
        )
        self.seen.touches.append(touch)

    def _targets(self) -> int:
        return len({where for one, where in self.begun.items() if not self._is_final(one)})

    def _is_final(self, run: UUID) -> bool:
        row = self.healer_db.table(Run).get(run)
        return row is not None and RunStatus(row.status).is_final

    def _decided(self, decision: Decision) -> None:
        if decision.verdict is Verdict.ASK:
            self.asked.append(decision)
        if decision.verdict is not Verdict.EXECUTE:
            return
        self.issued[decision.decision_id] = decision
        self.granted.append((self.now, decision))
        lately = [one for at, one in self.granted if at > self.now - HOUR]
        held = {one.component for one in self.last_leases.values() if one.state is LeaseState.HELD}
        others = [name for name in GROUP if name != decision.component]
        left = [name for name in others if self.status[name] in SERVING and name not in held]
        busy = [name for name in others if name in held]
        dead = self.status[decision.component] == "critical"
        serves_nobody = dead and decision.category in {Category.CRASH, Category.HANG}
        grouped = decision.component in GROUP
        order = Order(
            at=self.now,
            decision=decision,
            switched_off=self.switched_off,
            spent=0 if self.jumped else len(lately),
            spent_here=0 if self.jumped else sum(one.component == decision.component for one in lately),
            others_left_share=len(left) / len(GROUP) if grouped else 1.0,
            group_acted_on_share=(len(busy) + 1) / len(GROUP) if grouped else 0.0,
            excused=serves_nobody or (dead and not busy),
            serves_nobody=serves_nobody,
        )
        self.seen.orders.append(order)

    def _leased(self, lease: Lease) -> None:
        self.seen.leases.append((lease, self.last_leases.get(lease.component)))
        self.last_leases[lease.component] = lease
        for replica in self.replicas:
            if replica.alive and not replica.frozen:
                finish(replica.leases.seen(lease.component, lease))

    # ---- the end

    def drain(self) -> None:
        """Nothing more befalls anybody: all that was begun must come to an end."""
        for faults in (self.faults, *(replica.faults for replica in self.replicas)):
            faults.next = ""
        for replica in self.replicas:
            replica.kill()
        (home, other), self.refuses = self.replicas, False
        home.skew_s = 0.0
        home.start()
        for workflow in self.workflows.values():
            if workflow.executor == other.name and workflow.status == "pending":
                home.execute(workflow)
        for round_ in range(120):
            self.now += timedelta(seconds=1 if round_ < 60 else 30)
            self.do_all(home)
            if round_ > 3 and self._is_quiet():
                break

    def _is_quiet(self) -> bool:
        open_grants = any(row.finished_at is None for row in self.decider_db.table(GrantRow).values())
        return not (self.bus or self.executions or open_grants) and all(
            RunStatus(run.status).is_final for run in self.healer_db.table(Run).values()
        )

    def do_all(self, replica: Replica) -> None:
        while self.bus:
            self.deliver(0, replica, again=False)
        self.decides(self.decider.tick)
        replica.does(replica.handlers.start_waiting)
        replica.does(replica.handlers.finish_stranded)
        for execution in list(self.executions):
            for _ in range(40):
                if execution in self.executions and execution.where != "waiting":
                    self.advance(execution)
            if execution in self.executions:
                self.advance(execution)

    def check_ends(self) -> None:
        every_run_ends_succeeded_rolled_back_or_escalated(
            self.healer_db.table(Run).values(),
            self.decider_db.table(GrantRow).values(),
            self.decider_db.table(CaseRow).values(),
            self.decider_db.table(DecisionRow).values(),
            self.now,
        )


class NoLimit(nullcontext[None]):
    """A time limit that is never reached."""


async def _once(db: Database, event: Event, handler: Callable[..., Coroutine[Any, Any, None]], unit: Unit) -> None:
    """As the bus does it: what was handled before does nothing."""
    if event.id not in db.seen:
        db.seen.add(event.id)
        await handler(event, unit)
