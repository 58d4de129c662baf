"""Before anything is touched: what there is to do, whether it still should be done, and a copy of what will change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid5

import structlog

from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError, Context
from services.healer.clients.files import FileCopy, FileError, FileState
from services.healer.clients.registry import actuator_for
from services.healer.clients.remote import Places, RemoteActuator, place
from services.healer.clients.spawn import Spawner
from services.healer.domain.interpolation import (
    InterpolationError,
    interpolate,
    names_of,
    substitute,
    values_of,
)
from services.healer.domain.runs import Reason, backup_id
from services.healer.store import backups, cases, runs
from services.healer.store.models import StepCopy
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.records import Kept, Planned, PlannedStep
from services.healer.workflows.rehearsal import Rehearsal
from shared import telemetry
from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision, Plan
from shared.contracts.healer import Message, Phase
from shared.outbox import Unit
from shared.packs.actions.telling import NotifySend
from shared.packs.playbook import Step

log = structlog.get_logger()

UNDOERS = 1_000
"""What undoes step n keeps data in the place n + 1000: a playbook has fewer steps."""
_CASES_WITH_STATE = {CaseKind.INCIDENT, CaseKind.PREDICTION}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Makes the actuators of a decision's steps; the same ones at every repetition."""

    journal: Journal
    spawner: Spawner
    places: Places
    is_ill: Callable[[str], bool]

    def actuators(self, decision: Decision) -> list[Actuator]:
        """Raises InterpolationError or ActuatorError, before anything is touched."""
        return self.bound(plan_of(decision), decision.decision_id, decision)

    def bound(self, plan: Plan, run: UUID, decision: Decision | None = None) -> list[Actuator]:
        """The actuators of a plan; `run` names the run to the outside world. Without a decision nobody can be told
        anything. Raises as `actuators` does."""
        return [self._bind(plan, step, run, index, decision) for index, step in enumerate(plan.spec.steps)]

    def undoers(self, plan: Plan, run: UUID, decision: Decision | None = None) -> dict[int, Actuator]:
        """What undoes steps, by their index, where the playbook names another action for that. Raises as `actuators`
        does."""
        return {
            index: self._bind(plan, step.rollback, run, index + UNDOERS, decision)
            for index, step in enumerate(plan.spec.steps)
            if isinstance(step.rollback, Step)
        }

    def _bind(self, plan: Plan, step: Step, run: UUID, index: int, decision: Decision | None) -> Actuator:
        context = self.context(plan, run, index, step.timeout_s)
        if decision is not None:
            context = replace(context, tell=partial(self._tell, decision, index))
        filled = interpolate(step, names_of(plan.component, plan.target), values_of(plan.spec.parameters))
        here = actuator_for(filled, context, self.spawner)
        host = plan.target.host
        return RemoteActuator(host, self.places.agents, filled, context, here) if host else here

    def context(self, plan: Plan, run: UUID, index: int, timeout_s: float) -> Context:
        """What a step of a run may know and keep; what undoes step n has the index n + 1000."""
        return Context(
            component=plan.component,
            target=plan.target,
            key=f"{run}/{index}",
            timeout_s=timeout_s,
            http_hosts=plan.http_hosts,
            last_good=self._last_good,
            blob=self.blob,
            is_ill=self.is_ill,
            keep=partial(self._keep, run, plan.component, index),
            kept=partial(self._kept, run, index),
        )

    async def _last_good(self, path: str, sha256: str) -> FileCopy | None:
        async def find(unit: Unit) -> FileCopy | None:
            version = await backups.last_good(unit.session, path, sha256)
            if version is None:
                return None
            content = await backups.blob(unit.session, version.sha256)
            return FileCopy(FileState(path, version.sha256, version.mode, version.uid, version.gid, link=None), content)

        return await self.journal.write(find)

    async def blob(self, sha256: str) -> bytes:
        return await self.journal.write(lambda unit: backups.blob(unit.session, sha256))

    async def _tell(self, decision: Decision, index: int, message: NotifySend) -> None:
        if isinstance(decision, Rehearsal):
            return  # nobody hears of a practice

        async def tell(unit: Unit) -> None:
            unit.emit(
                Message(
                    id=uuid5(decision.decision_id, f"message:{index}"),
                    at=unit.now,
                    component=decision.component,
                    case_id=decision.case_id,
                    case_kind=decision.case_kind,
                    decision_id=decision.decision_id,
                    playbook=plan_of(decision).playbook,
                    channel=message.channel,
                    severity=message.severity,
                    text=message.message,
                )
            )

        await self.journal.write(tell)

    async def _keep(self, run: UUID, component: str, index: int, content: bytes) -> None:
        async def keep(unit: Unit) -> None:
            sha256 = files.digest(content)
            await backups.keep_blobs(unit.session, {sha256: content}, unit.now)
            copy = StepCopy(
                run_id=run,
                step=index,
                component=component,
                sha256=sha256,
                size=len(content),
                created_at=unit.now,
            )
            await backups.keep_step_copy(unit.session, copy)

        await self.journal.write(keep)

    async def _kept(self, run: UUID, index: int) -> bytes | None:
        async def find(unit: Unit) -> bytes | None:
            try:
                return await backups.step_copy(unit.session, run, index)
            except KeyError as error:
                raise ActuatorError(f"what step {index + 1} kept is gone: put it back by hand") from error

        return await self.journal.write(find)


@dataclass(frozen=True, slots=True)
class Preparing:
    journal: Journal
    toolbox: Toolbox
    start_within: timedelta
    """A decision older than this is not carried out."""

    async def plan(self, decision: Decision) -> Planned:
        """Looks at everything the steps will act on, then at the case: it may have ended by itself."""
        steps: tuple[PlannedStep, ...] = ()
        stop = Reason.DRY_RUN if decision.dry_run else None
        try:
            steps = tuple([await _look(actuator) for actuator in self.toolbox.actuators(decision)])
            self.toolbox.undoers(plan_of(decision), decision.decision_id)  # one that can't be made stops the run here
            detail = "; ".join(step.description for step in steps)
        except Exception as error:
            if not isinstance(error, ActuatorError | InterpolationError):
                log.exception("planning failed", decision_id=str(decision.decision_id))
            stop, detail = stop or Reason.PLAN_FAILED, f"can't be done: {error}"

        async def begin(unit: Unit) -> Planned:
            at, waited_s = await runs.begin(unit.session, decision.decision_id, unit.now)
            telemetry.RUN_START_SECONDS.observe(waited_s)
            planned = Planned(at=at, steps=steps, stop=stop, detail=detail)
            if stop is None and at - decision.at > self.start_within:
                age = f"decided {(at - decision.at).total_seconds():.0f} s ago: what it rested on may have changed"
                planned = Planned(at=at, stop=Reason.STALE, detail=age)
            if await _has_ended(unit, decision):
                ended = "the case ended before anything was done"
                planned = Planned(at=at, stop=Reason.ALREADY_RESOLVED, detail=ended)
            await self.journal.say(unit, decision, Phase.PLANNED, detail=planned.detail)
            return planned

        return await self.journal.write(begin)

    async def back_up(self, decision: Decision, planned: Planned) -> Kept:
        """Keeps every file that the playbook names or its steps will change."""
        try:
            copies = [await self.toolbox.places.read(path) for path in files_of(decision, planned)]
        except (FileError, InterpolationError) as error:
            return Kept(error=str(error))
        if not copies:
            return Kept()
        plan = plan_of(decision)
        identifier = backup_id(planned.at, decision.decision_id)

        async def keep(unit: Unit) -> Kept:
            await backups.keep_blobs(unit.session, contents(copies), unit.now)
            await backups.keep(
                unit.session,
                backup_id=identifier,
                run_id=decision.decision_id,
                component=decision.component,
                reason=f"before {plan.playbook} for {decision.signature}",
                confidence=decision.confidence,
                files=[described(copy) for copy in copies],
                now=unit.now,
            )
            await runs.note_backup(unit.session, decision.decision_id, identifier)
            await self.journal.say(unit, decision, Phase.BACKED_UP, detail=f"{identifier}: {len(copies)} files")
            return Kept(backup_id=identifier)

        return await self.journal.write(keep)


async def _has_ended(unit: Unit, decision: Decision) -> bool:
    if decision.case_kind not in _CASES_WITH_STATE:
        return False
    state = await cases.get(unit.session, decision.case_id)
    return state is not None and not state.is_open


async def _look(actuator: Actuator) -> PlannedStep:
    facts = await actuator.observe()
    return PlannedStep(
        name=actuator.describe(facts).split(" (")[0],
        resource=actuator.resource,
        files=tuple(actuator.files),
        facts=dict(facts),
        description=actuator.describe(facts),
    )


def files_of(decision: Decision, planned: Planned) -> list[str]:
    """Files that the playbook declares or its steps change, each once. Raises InterpolationError."""
    return list(dict.fromkeys([*files_declared(decision), *(path for step in planned.steps for path in step.files)]))


def files_declared(decision: Decision) -> list[str]:
    """Files that the playbook names in `backup`. Raises InterpolationError."""
    plan = plan_of(decision)
    names, values = names_of(plan.component, plan.target), values_of(plan.spec.parameters)
    return [place(plan.target.host, substitute(backup.file, names, values)) for backup in plan.spec.backup]


def contents(copies: list[FileCopy]) -> dict[str, bytes]:
    """Bytes by sha256 of the files that exist."""
    return {copy.state.sha256: copy.content for copy in copies if copy.state.exists}


def described(copy: FileCopy) -> dict[str, object]:
    """A file of a backup, as it is stored."""
    state = copy.state
    return {
        "path": state.path,
        "sha256": state.sha256,
        "mode": state.mode,
        "uid": state.uid,
        "gid": state.gid,
        "link": state.link,
        "size": len(copy.content),
    }
