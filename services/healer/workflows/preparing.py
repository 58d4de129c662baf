"""Before anything is touched: what there is to do, whether it still should be done, and a copy of what will change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError, Context
from services.healer.clients.files import FileCopy, FileError, FileState
from services.healer.clients.registry import actuator_for
from services.healer.clients.spawn import Spawner
from services.healer.domain.interpolation import InterpolationError, interpolate, names_of, substitute
from services.healer.domain.runs import Reason, backup_id
from services.healer.store import backups, cases, runs
from services.healer.store.models import StepCopy
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.records import Kept, Planned, PlannedStep
from shared import telemetry
from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision
from shared.contracts.healer import Phase
from shared.outbox import Unit

log = structlog.get_logger()

_CASES_WITH_STATE = {CaseKind.INCIDENT, CaseKind.PREDICTION}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Makes the actuators of a decision's steps; the same ones at every repetition."""

    journal: Journal
    spawner: Spawner
    is_ill: Callable[[str], bool]

    def actuators(self, decision: Decision) -> list[Actuator]:
        """Raises InterpolationError or ActuatorError, before anything is touched."""
        plan = plan_of(decision)
        names = names_of(plan.component, plan.target)
        made = []
        for index, step in enumerate(plan.spec.steps):
            context = Context(
                component=plan.component,
                target=plan.target,
                key=f"{decision.decision_id}/{index}",
                timeout_s=step.timeout_s,
                http_hosts=plan.http_hosts,
                last_good=self._last_good,
                blob=self.blob,
                is_ill=self.is_ill,
                keep=partial(self._keep, decision, index),
                kept=partial(self._kept, decision, index),
            )
            made.append(actuator_for(interpolate(step, names), context, self.spawner))
        return made

    async def _last_good(self, path: str, sha256: str) -> FileCopy | None:
        async def find(unit: Unit) -> FileCopy | None:
            version = await backups.last_good(unit.session, path, sha256)
            if version is None:
                return None
            content = await backups.blob(unit.session, version.sha256)
            return FileCopy(FileState(path, version.sha256, version.mode, version.uid, version.gid), content)

        return await self.journal.write(find)

    async def blob(self, sha256: str) -> bytes:
        return await self.journal.write(lambda unit: backups.blob(unit.session, sha256))

    async def _keep(self, decision: Decision, index: int, content: bytes) -> None:
        async def keep(unit: Unit) -> None:
            sha256 = files.digest(content)
            await backups.keep_blobs(unit.session, {sha256: content}, unit.now)
            copy = StepCopy(
                run_id=decision.decision_id,
                step=index,
                component=decision.component,
                sha256=sha256,
                size=len(content),
                created_at=unit.now,
            )
            await backups.keep_step_copy(unit.session, copy)

        await self.journal.write(keep)

    async def _kept(self, decision: Decision, index: int) -> bytes | None:
        async def find(unit: Unit) -> bytes | None:
            try:
                return await backups.step_copy(unit.session, decision.decision_id, index)
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
            copies = await asyncio.to_thread(_read_all, files_of(decision, planned))
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
    plan = plan_of(decision)
    names = names_of(plan.component, plan.target)
    declared = [files.absolute(substitute(backup.file, names)) for backup in plan.spec.backup]
    return list(dict.fromkeys([*declared, *(path for step in planned.steps for path in step.files)]))


def _read_all(paths: list[str], read: Callable[[str], FileCopy] = files.read) -> list[FileCopy]:
    return [read(path) for path in paths]


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
        "size": len(copy.content),
    }
