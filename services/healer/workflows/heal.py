"""One run from plan to outcome. Everything here only orders durable steps: it is repeated from its records."""

from __future__ import annotations

from dataclasses import dataclass

from services.healer.domain.runs import Ending, Reason, RunStatus, Undoing, ending_of_failure
from services.healer.domain.validation import Window
from services.healer.workflows import durability
from services.healer.workflows.acting import Acting
from services.healer.workflows.applying import Applying, Tried
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import SWITCHED_OFF
from services.healer.workflows.journal import plan_of
from services.healer.workflows.preparing import Preparing
from services.healer.workflows.records import Applied, Checked, Finished, Judged, Kept, Planned, Reading
from services.healer.workflows.undoing import RollingBack
from shared.contracts.decider import Decision

_NOTHING_TO_DO = {Reason.DRY_RUN, Reason.ALREADY_RESOLVED, Reason.STALE}


@dataclass(frozen=True, slots=True)
class Heal:
    preparing: Preparing
    conditions: Conditions
    applying: Applying
    acting: Acting
    rolling_back: RollingBack
    finishing: Finishing

    async def run(self, decision: Decision) -> str:
        """Carries out a decision; returns the run's final status."""
        await self.acting.guard.take(decision)
        planned = await durability.durable("plan", Planned, lambda: self.preparing.plan(decision))
        if planned.stop is not None:
            status = RunStatus.SKIPPED if planned.stop in _NOTHING_TO_DO else RunStatus.FAILED
            would = [step.description for step in planned.steps]
            return await self._finish(decision, Ending(status, planned.stop, planned.detail), would)
        kept = Kept()
        if plan_of(decision).spec.backup or any(step.files for step in planned.steps):
            kept = await durability.durable("back up", Kept, lambda: self.preparing.back_up(decision, planned))
        if kept.error:
            ending = ending_of_failure(Reason.BACKUP_FAILED, Undoing.NOTHING_APPLIED, [kept.error])
            return await self._finish(decision, ending, [])
        if plan_of(decision).spec.preconditions:
            checked = await durability.durable("check", Checked, lambda: self.conditions.check(decision))
            if checked.unmet:
                return await self._finish(decision, Ending(RunStatus.SKIPPED, Reason.PRECONDITION, checked.unmet), [])
        tried = await self.applying.apply(decision, planned)
        actions = [one.acted.detail or f"failed: {one.acted.error}" for one in tried]
        if tried[-1].acted.was_held_back and not any(one.begun for one in tried):
            why_not = tried[-1].acted.error
            reason = Reason.SWITCHED_OFF if why_not == SWITCHED_OFF else Reason.FENCED
            ending = Ending(RunStatus.SKIPPED, reason, f"{why_not}; nothing had been changed")
            return await self._finish(decision, ending, [])
        if tried[-1].acted.error:
            why = [f"step {tried[-1].index + 1} failed: {tried[-1].acted.error}"]
            reason = Reason.PRECONDITION if tried[-1].acted.unmet else Reason.STEP_FAILED
            return await self._fail(decision, kept, tried, actions, reason, why, 0)
        judged = await self._validate(decision)
        if judged.reason is Reason.HEALED:
            ending = Ending(RunStatus.SUCCEEDED, Reason.HEALED, judged.detail)
            return await self._finish(decision, ending, actions, judged.errors)
        return await self._fail(decision, kept, tried, actions, judged.reason, [judged.detail], judged.errors)

    async def _validate(self, decision: Decision) -> Judged:
        applied = await durability.durable("applied", Applied, lambda: self.acting.applied(decision))
        window = Window(applied.at, plan_of(decision).spec.validation.window_s)
        baseline = await durability.durable("settle", Reading, lambda: self.acting.settle(decision, window))
        return await durability.durable("judge", Judged, lambda: self.acting.judge(decision, window, baseline))

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
            undoing, problems = await self.rolling_back.roll_back(decision, kept, tried, why)
            ending = ending_of_failure(reason, undoing, [*why, *problems])
        return await self._finish(decision, ending, actions, errors)

    async def _finish(self, decision: Decision, ending: Ending, actions: list[str], errors: int = 0) -> str:
        finished = await durability.durable(
            "finish", Finished, lambda: self.finishing.finish(decision, ending, actions, errors)
        )
        return finished.status
