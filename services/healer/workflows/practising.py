"""A playbook practised: broken on purpose, mended, broken again, taken back; then the target is put back.

Everything here only orders durable steps, as in `heal`: killed at any instant it goes on where it was. The runs are
those of `heal` itself, on a target that nobody needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import uuid5

import structlog

from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError
from services.healer.clients.faults import Breaker
from services.healer.clients.files import FileError
from services.healer.clients.process_actuators import ProcessStart, ProcessStop, declared
from services.healer.clients.states import capture, touched
from services.healer.domain.interpolation import InterpolationError, interpolate_part, names_of, substitute, values_of
from services.healer.domain.practice import Conclusion, Round, Verdict, conclude, differing, slug
from services.healer.domain.runs import RunStatus, backup_id
from services.healer.store import backups, practices, runs
from services.healer.store.models import GoodFile, Json
from services.healer.workflows import durability
from services.healer.workflows.admission import run_of
from services.healer.workflows.heal import Heal
from services.healer.workflows.journal import Journal
from services.healer.workflows.preparing import Toolbox, contents, described
from services.healer.workflows.records import Broken, Concluded, Ended, PracticeOrder, Prepared, Reset
from services.healer.workflows.rehearsal import Rehearsal, rehearsal, run_id
from services.healer.workflows.restoring import Restoring, UnknownBackupError
from shared import telemetry
from shared.contracts.healer import Practised
from shared.outbox import Unit
from shared.packs.component import Component
from shared.packs.practice import Compared, Fault, Practice

log = structlog.get_logger()

HELPING, RETURNING = "helping", "returning"
_STEP_TIMEOUT_S = 30.0
_EXPECTED = (ActuatorError, InterpolationError, FileError, UnknownBackupError)
GOOD_VERSIONS = 5


class NotThereError(Exception):
    """The round could not be made; it says nothing of the playbook."""


@dataclass(frozen=True, slots=True)
class Practising:
    journal: Journal
    toolbox: Toolbox
    heal: Heal
    restoring: Restoring
    switched_off: Callable[[], bool]

    # ---- before it is begun

    def touches(self, order: PracticeOrder) -> set[str]:
        """Names of all that a practice touches. Raises ActuatorError or InterpolationError."""
        found: set[str] = set()
        for actuator in self._hands(order):
            found |= touched(actuator)
        for breaker in self._breakers(order, order.practice.fault, "fault"):
            found |= breaker.touches
        return found | declared_by(order.plan.target)

    def touches_of(self, order: PracticeOrder, component: str, target: Component) -> set[str]:
        """What the same steps would touch on another component, and what that one declares."""
        found = declared_by(target)
        for step in order.plan.spec.steps:
            spec = order.plan.spec.model_copy(update={"steps": (step,)})
            plan = order.plan.model_copy(update={"component": component, "target": target, "spec": spec})
            try:
                for actuator in (
                    *self.toolbox.bound(plan, order.practice_id),
                    *self.toolbox.undoers(plan, order.practice_id).values(),
                ):
                    found |= touched(actuator)
            except (ActuatorError, InterpolationError):
                continue  # the step can't be done there, so it touches nothing
        return found

    # ---- the workflow

    async def run(self, order: PracticeOrder) -> str:
        """Both rounds and the conclusion; returns the verdict."""
        prepared = await durability.durable("prepare", Prepared, lambda: self._prepare(order))
        evidence: list[Round] = []
        if prepared.stop:
            found = Conclusion(Verdict.ABORTED, prepared.stop)
        else:
            found = await self._both_rounds(order, prepared, evidence)
        done = await durability.durable("conclude", Concluded, lambda: self._conclude(order, found, evidence))
        return done.verdict.value

    async def _both_rounds(self, order: PracticeOrder, prepared: Prepared, evidence: list[Round]) -> Conclusion:
        """What they prove; adds each round that could be made to the evidence."""
        try:
            helping = await self._round(order, prepared, HELPING)
            evidence.append(helping)
            returning = await self._round(order, prepared, RETURNING)
            evidence.append(returning)
        except NotThereError as error:
            return Conclusion(Verdict.ABORTED, str(error))
        can = order.plan.spec.reversible and order.plan.spec.rollback == "auto"
        before = order.practice.expect == "as-before"
        return conclude(helping, returning, expect_before=before, can_be_undone=can)

    async def _round(self, order: PracticeOrder, prepared: Prepared, name: str) -> Round:
        broken = await durability.durable(f"{name}: break", Broken, lambda: self._break(order, name))
        ended = Ended(error=broken.error)
        if not broken.error:
            decision = rehearsal(order, name, broken.at, validation_broken=name == RETURNING)
            admitted = await durability.durable(f"{name}: admit", Reset, partial(self._admit, decision))
            ended = Ended(error=admitted.error)
            if not admitted.error:
                await self.heal.run(decision)
                ended = await durability.durable(f"{name}: look", Ended, partial(self._look, order, name))
        reset = await durability.durable(f"{name}: put back", Reset, lambda: self._put_back(order, prepared, name))
        if ended.error or reset.error:
            raise NotThereError("; ".join(filter(None, (ended.error, reset.error))))
        if ended.status == RunStatus.SKIPPED.value:
            raise NotThereError(f"the run was skipped: {ended.reason}")
        return Round(prepared.before, broken.state, ended.state, RunStatus(ended.status), ended.reason)

    # ---- bodies of durable steps: each may be repeated after a crash at any point in it

    async def _prepare(self, order: PracticeOrder) -> Prepared:
        """Has the target run, keeps its files, and learns that they are good."""
        if self.switched_off():
            return Prepared(stop="the kill switch is on")
        try:
            await self._start(order)
            actuators = self._actuators(order)
            copies = await asyncio.to_thread(lambda: [files.read(path) for path in self._files(order, actuators)])
            before = await self._state(order)
        except _EXPECTED as error:
            return Prepared(stop=f"{order.plan.component} can't be made ready: {error}")

        async def keep(unit: Unit) -> Prepared:
            identifier = backup_id(order.at, order.practice_id)
            await backups.keep_blobs(unit.session, contents(copies), unit.now)
            await backups.keep(
                unit.session,
                backup_id=identifier,
                run_id=None,
                component=order.plan.component,
                reason=f"before practising {order.plan.playbook}",
                confidence=1.0,
                files=[described(copy) for copy in copies],
                now=unit.now,
            )
            for copy in copies:
                if copy.state.exists:
                    state = copy.state
                    version = GoodFile(
                        path=state.path, sha256=state.sha256, component=order.plan.component, mode=state.mode,
                        uid=state.uid, gid=state.gid, good_at=unit.now,
                    )  # fmt: skip
                    await backups.add_good(unit.session, version, GOOD_VERSIONS)
            return Prepared(before=before, backup_id=identifier)

        return await self.journal.write(keep)

    async def _break(self, order: PracticeOrder, name: str) -> Broken:
        at = await self.journal.write(_now)
        if self.switched_off():
            return Broken(at=at, error="the kill switch is on")
        try:
            for breaker in self._breakers(order, self._practice(order).fault, f"{name}/fault"):
                await breaker.inject()
            return Broken(at=at, state=await self._state(order))
        except _EXPECTED as error:
            return Broken(at=at, error=f"the fault could not be made: {error}")

    async def _admit(self, decision: Rehearsal) -> Reset:
        """Has the target for this round, as a real run has its component."""

        async def admit(unit: Unit) -> Reset:
            await runs.lock_component(unit.session, decision.component)
            active = await runs.active_on(unit.session, decision.component)
            if active not in {None, decision.decision_id}:
                return Reset(error=f"run {active} is at work on {decision.component}")
            await runs.admit(unit.session, run_of(decision, unit.now))
            await runs.activate(unit.session, decision.decision_id, decision.component, unit.now)
            return Reset()

        return await self.journal.write(admit)

    async def _look(self, order: PracticeOrder, name: str) -> Ended:
        async def find(unit: Unit) -> tuple[str, str]:
            run = await runs.get(unit.session, run_id(order.practice_id, name))
            return (run.status, run.reason) if run else ("", "")

        status, reason = await self.journal.write(find)
        try:
            return Ended(status=status, reason=reason, state=await self._state(order))
        except _EXPECTED as error:
            return Ended(status=status, reason=reason, error=f"can't see what the run left: {error}")

    async def _put_back(self, order: PracticeOrder, prepared: Prepared, name: str) -> Reset:
        if self.switched_off():
            return Reset(error=f"the kill switch is on: {order.plan.component} is left as it is")
        try:
            await self._stop(order)  # first: what it writes when it ends is put back too
            for copy in await self.restoring.load(prepared.backup_id):
                now = await asyncio.to_thread(files.read, copy.state.path)
                await asyncio.to_thread(files.replace, copy, now.state.sha256)
                await asyncio.to_thread(files.verify, copy.state)
            for breaker in self._breakers(order, self._practice(order).reset, f"{name}/reset"):
                await breaker.inject()
            await self._start(order)
            left = differing(prepared.before, await self._state(order))
        except _EXPECTED as error:
            return Reset(error=f"{order.plan.component} could not be put back: {error}")
        if left:
            return Reset(error=f"{', '.join(left)} is not as before: say in the practice's `reset` how it is put back")
        return Reset()

    async def _conclude(self, order: PracticeOrder, found: Conclusion, evidence: list[Round]) -> Concluded:
        rows: list[Json] = [
            {
                "round": name,
                "status": one.status.value,
                "reason": one.reason,
                "before": dict(one.before),
                "broken": dict(one.broken),
                "after": dict(one.after),
            }
            for name, one in zip((HELPING, RETURNING), evidence, strict=False)
        ]

        async def write(unit: Unit) -> None:
            way_back = found.way_back.value if found.way_back else None
            new = await practices.conclude(
                unit.session, order.practice_id, verdict=found.verdict.value, reason=found.reason, way_back=way_back,
                evidence=rows, now=unit.now,
            )  # fmt: skip
            if not new:
                return
            telemetry.PRACTICES.labels(order.plan.pack, order.plan.playbook, found.verdict.value).inc()
            level = log.info if found.verdict is Verdict.PASSED else log.warning
            level("practised", playbook=order.plan.playbook, verdict=found.verdict.value, reason=found.reason)
            if found.verdict is not Verdict.ABORTED:
                unit.emit(_fact(order, found, unit))

        await self.journal.write(write)
        return Concluded(verdict=found.verdict, reason=found.reason, way_back=found.way_back)

    # ---- parts

    def _practice(self, order: PracticeOrder) -> Practice:
        names = names_of(order.plan.component, order.plan.target)
        return interpolate_part(order.practice, names)

    def _breakers(self, order: PracticeOrder, faults: tuple[Fault, ...], key: str) -> list[Breaker]:
        names = names_of(order.plan.component, order.plan.target)
        made = []
        for index, fault in enumerate(faults):
            context = self.toolbox.context(order.plan, uuid5(order.practice_id, key), index, _STEP_TIMEOUT_S)
            made.append(Breaker(interpolate_part(fault, names), context, self.toolbox.spawner))
        return made

    def _hands(self, order: PracticeOrder) -> list[Actuator]:
        """Those of the steps, and of what undoes them."""
        undoers = self.toolbox.undoers(order.plan, order.practice_id)
        return [*self.toolbox.bound(order.plan, order.practice_id), *undoers.values()]

    def _actuators(self, order: PracticeOrder) -> list[Actuator]:
        """Those of the steps and their undoing, and one that looks at the target's own process."""
        made = self._hands(order)
        if order.plan.target.process is not None:
            context = self.toolbox.context(order.plan, uuid5(order.practice_id, "look"), 0, _STEP_TIMEOUT_S)
            made.append(ProcessStart(context, self.toolbox.spawner, declared(context)))
        return made

    async def _state(self, order: PracticeOrder) -> dict[str, str]:
        """Of all that the steps touch, that the fault breaks, and that the pack names beside it."""
        broken = [Compared(file=path) for path in self._broken_files(order)]
        return await capture(self._actuators(order), [*self._practice(order).state, *broken])

    def _broken_files(self, order: PracticeOrder) -> list[str]:
        touched_ = {name for one in self._breakers(order, order.practice.fault, "fault") for name in one.touches}
        return sorted(name.removeprefix("file:") for name in touched_ if name.startswith("file:"))

    def _files(self, order: PracticeOrder, actuators: list[Actuator]) -> list[str]:
        """Everything that may be changed, each once."""
        practice, spec = self._practice(order), order.plan.spec
        names = names_of(order.plan.component, order.plan.target)
        values = values_of(spec.parameters)
        paths = [files.absolute(substitute(backup.file, names, values)) for backup in spec.backup]
        paths += [path for actuator in actuators for path in actuator.files]
        paths += [files.absolute(one.file) for one in practice.state if one.file]
        paths += self._broken_files(order)
        return list(dict.fromkeys(paths))

    async def _start(self, order: PracticeOrder) -> None:
        if order.plan.target.process is not None:
            context = self.toolbox.context(order.plan, uuid5(order.practice_id, "start"), 0, _STEP_TIMEOUT_S)
            start = ProcessStart(context, self.toolbox.spawner, declared(context))
            await start.apply(await start.observe())

    async def _stop(self, order: PracticeOrder) -> None:
        if order.plan.target.process is not None:
            context = self.toolbox.context(order.plan, uuid5(order.practice_id, "stop"), 0, _STEP_TIMEOUT_S)
            stop = ProcessStop(context, self.toolbox.spawner, declared(context))
            await stop.apply(await stop.observe())


async def _now(unit: Unit) -> datetime:
    return unit.now


def _fact(order: PracticeOrder, found: Conclusion, unit: Unit) -> Practised:
    return Practised(
        at=unit.now,
        slug=slug(order.plan.pack, order.plan.playbook),
        pack=order.plan.pack,
        playbook=order.plan.playbook,
        target=order.plan.component,
        practice_id=order.practice_id,
        spec_hash=order.spec_hash,
        passed=found.verdict is Verdict.PASSED,
        reason=found.reason,
        way_back=found.way_back.value if found.way_back else None,
    )


def declared_by(component: Component) -> set[str]:
    """What a component has for itself."""
    found: set[str] = set()
    if component.config_path:
        found.add(f"file:{files.absolute(component.config_path)}")
    if component.process:
        found.add(f"process:{component.process.pid_file}")
    if component.container:
        found.add(f"container:{component.container}")
    return found
