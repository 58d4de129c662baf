"""One run from plan to outcome. Everything here only orders durable steps: it is repeated from its records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from dbos import DBOS

from services.healer.clients.base import Actuator
from services.healer.domain.runs import Ending, Reason, RunStatus, Undoing, ending_of_failure
from services.healer.domain.validation import Window
from services.healer.workflows.acting import Acting
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import SWITCHED_OFF
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.preparing import Preparing, Toolbox
from services.healer.workflows.records import (
    Acted,
    Applied,
    Finished,
    Judged,
    Kept,
    Looked,
    Planned,
    Reading,
    Record,
    Restored,
    Undoable,
    Undone,
)
from services.healer.workflows.restoring import Restoring
from shared.contracts.decider import Decision
from shared.contracts.healer import Phase
from shared.outbox import Unit

_NOTHING_TO_DO = {Reason.DRY_RUN, Reason.ALREADY_RESOLVED, Reason.STALE}


async def durable[R: Record](name: str, kind: type[R], work: Callable[[], Awaitable[R]]) -> R:
    """Runs `work` once to its end, over restarts, and gives what it left: from the records where it has run."""

    async def body() -> str:
        return (await work()).model_dump_json()

    return kind.model_validate_json(await DBOS.run_step_async({"name": name}, body))


@dataclass(slots=True)
class Tried:
    """A step that was tried, with what was seen before it."""

    index: int
    actuator: Actuator
    before: Looked
    acted: Acted


def _was_held_back(acted: Acted) -> bool:
    return acted.held_back or acted.switched_off


@dataclass(frozen=True, slots=True)
class Heal:
    journal: Journal
    toolbox: Toolbox
    preparing: Preparing
    acting: Acting
    restoring: Restoring
    finishing: Finishing

    async def run(self, decision: Decision) -> str:
        """Carries out a decision; returns the run's final status."""
        await self.acting.guard.take(decision)
        planned = await durable("plan", Planned, lambda: self.preparing.plan(decision))
        if planned.stop is not None:
            status = RunStatus.SKIPPED if planned.stop in _NOTHING_TO_DO else RunStatus.FAILED
            would = [step.description for step in planned.steps]
            return await self._finish(decision, Ending(status, planned.stop, planned.detail), would)
        kept = Kept()
        if plan_of(decision).spec.backup or any(step.files for step in planned.steps):
            kept = await durable("back up", Kept, lambda: self.preparing.back_up(decision, planned))
        if kept.error:
            ending = ending_of_failure(Reason.BACKUP_FAILED, Undoing.NOTHING_APPLIED, [kept.error])
            return await self._finish(decision, ending, [])
        tried = await self._apply(decision, planned)
        actions = [one.acted.detail or f"failed: {one.acted.error}" for one in tried]
        if _was_held_back(tried[-1].acted) and len(tried) == 1:
            why_not = tried[-1].acted.error
            reason = Reason.SWITCHED_OFF if why_not == SWITCHED_OFF else Reason.FENCED
            ending = Ending(RunStatus.SKIPPED, reason, f"{why_not}; nothing had been changed")
            return await self._finish(decision, ending, [])
        if tried[-1].acted.error:
            why = [f"step {tried[-1].index + 1} failed: {tried[-1].acted.error}"]
            return await self._fail(decision, kept, tried, actions, Reason.STEP_FAILED, why, 0)
        judged = await self._validate(decision)
        if judged.reason is Reason.HEALED:
            ending = Ending(RunStatus.SUCCEEDED, Reason.HEALED, judged.detail)
            return await self._finish(decision, ending, actions, judged.errors)
        return await self._fail(decision, kept, tried, actions, judged.reason, [judged.detail], judged.errors)

    async def _apply(self, decision: Decision, planned: Planned) -> list[Tried]:
        """The steps in order, up to the first that fails."""
        tried: list[Tried] = []
        touched: set[str] = set()
        for index, (actuator, step) in enumerate(zip(self.toolbox.actuators(decision), planned.steps, strict=True)):
            before = Looked(facts=step.facts)
            if step.resource in touched:
                before = await durable(f"look {index}", Looked, partial(self.acting.look, actuator))
            if before.error:
                acted = Acted(error=before.error)
            else:
                act = partial(self.acting.act, decision, index, actuator, before.facts)
                acted = await durable(f"act {index}", Acted, act)
            touched.add(step.resource)
            tried.append(Tried(index, actuator, before, acted))
            if acted.error:
                break
        return tried

    async def _validate(self, decision: Decision) -> Judged:
        applied = await durable("applied", Applied, lambda: self.acting.applied(decision))
        window = Window(applied.at, plan_of(decision).spec.validation.window_s)
        baseline = await durable("settle", Reading, lambda: self.acting.settle(decision, window))
        return await durable("judge", Judged, lambda: self.acting.judge(decision, window, baseline))

    async def _fail(
        self,
        decision: Decision,
        kept: Kept,
        tried: list[Tried],
        actions: list[str],
        reason: Reason,
        why: list[str],
        errors: int,
    ) -> str:
        if plan_of(decision).spec.rollback == "none":
            ending = ending_of_failure(reason, Undoing.NOT_WANTED, why)
        else:
            undoing, problems = await self._roll_back(decision, kept, tried, why)
            ending = ending_of_failure(reason, undoing, [*why, *problems])
        return await self._finish(decision, ending, actions, errors)

    async def _roll_back(
        self, decision: Decision, kept: Kept, tried: list[Tried], why: list[str]
    ) -> tuple[Undoing, list[str]]:
        """Files first, then processes in reverse order, so that they read what was put back."""
        undoable = await durable("rolling back", Undoable, lambda: self._say_rolling_back(decision, why))
        if undoable.switched_off or undoable.refused == SWITCHED_OFF:
            return Undoing.FORBIDDEN, []
        if undoable.refused:
            return Undoing.FENCED, [undoable.refused]
        written: dict[str, set[str]] = {}
        done: set[str] = set()
        for one in tried:
            for path in one.actuator.files:
                written.setdefault(path, set()).add(str(one.before.facts.get("wanted_sha256", "")))
                if not one.acted.error:
                    done.add(path)
        restored = Restored()
        if kept.backup_id is not None:
            put_back = partial(self._put_back, decision, kept.backup_id, written, set(written) - done)
            restored = await durable("put back", Restored, put_back)
        problems = list(restored.errors)
        others = [one for one in reversed(tried) if not one.actuator.files and not one.before.error]
        for one in others:
            problems += await self._undo(decision, one, restored=bool(done))
        if problems:
            return Undoing.INCOMPLETE, problems
        untouched = not others and not done and not restored.paths
        return Undoing.NOTHING_APPLIED if untouched else Undoing.VERIFIED, []

    async def _put_back(
        self, decision: Decision, backup_id: str, written: dict[str, set[str]], failed: set[str]
    ) -> Restored:
        if refused := await self.acting.guard.refusal(decision, 0.0):
            return Restored(errors=(f"files not put back: {refused}",))
        return await self.restoring.put_back(backup_id, written, failed)

    async def _undo(self, decision: Decision, one: Tried, *, restored: bool) -> list[str]:
        now = await durable(f"look back {one.index}", Looked, lambda: self.acting.look(one.actuator))
        if now.error:
            return [now.error]
        timeout_s = plan_of(decision).spec.steps[one.index].timeout_s
        undone = await durable(
            f"undo {one.index}",
            Undone,
            lambda: self.acting.undo(decision, one.actuator, one.before.facts, now.facts, timeout_s, restored),
        )
        return [undone.error] if undone.error else []

    async def _say_rolling_back(self, decision: Decision, why: list[str]) -> Undoable:
        if refused := await self.acting.guard.refusal(decision, 0.0):
            return Undoable(refused=refused)

        async def say(unit: Unit) -> None:
            await self.journal.say(unit, decision, Phase.ROLLING_BACK, detail="; ".join(why))

        await self.journal.write(say)
        return Undoable()

    async def _finish(self, decision: Decision, ending: Ending, actions: list[str], errors: int = 0) -> str:
        finished = await durable("finish", Finished, lambda: self.finishing.finish(decision, ending, actions, errors))
        return finished.status
