"""The way back of a run: files first, then the rest in reverse order, so that it reads what was put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from services.healer.domain.runs import Undoing
from services.healer.workflows import durability
from services.healer.workflows.acting import Acting
from services.healer.workflows.applying import Tried
from services.healer.workflows.guard import SWITCHED_OFF
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.preparing import Toolbox
from services.healer.workflows.records import Kept, Looked, Restored, Undoable, Undone
from services.healer.workflows.restoring import Restoring
from shared.contracts.decider import Decision
from shared.contracts.healer import Phase
from shared.outbox import Unit
from shared.packs.playbook import Step


@dataclass(frozen=True, slots=True)
class RollingBack:
    journal: Journal
    toolbox: Toolbox
    acting: Acting
    restoring: Restoring

    async def roll_back(
        self, decision: Decision, kept: Kept, tried: Sequence[Tried], why: Sequence[str]
    ) -> tuple[Undoing, list[str]]:
        """What became of the way back, and what went wrong on it."""
        undoable = await durability.durable("rolling back", Undoable, lambda: self._say(decision, why))
        if undoable.switched_off or undoable.refused == SWITCHED_OFF:
            return Undoing.FORBIDDEN, []
        if undoable.refused:
            return Undoing.FENCED, [undoable.refused]
        steps = plan_of(decision).spec.steps
        left = [one for one in tried if steps[one.index].rollback == "none"]
        back = [one for one in tried if steps[one.index].rollback != "none"]
        done = {path for one in back for path in one.actuator.files if not one.acted.error}
        restored = await self._put_back(decision, kept, back, left, done)
        problems = list(restored.errors)
        others = [one for one in reversed(back) if one.begun and not self._is_file_only(decision, one)]
        for one in others:
            problems += await self._undo(decision, one, restored=bool(done))
        if problems:
            return Undoing.INCOMPLETE, problems
        if others or done or restored.paths:
            return Undoing.VERIFIED, []
        return (Undoing.NOT_WANTED if any(not one.acted.error for one in left) else Undoing.NOTHING_APPLIED), []

    @staticmethod
    def _is_file_only(decision: Decision, one: Tried) -> bool:
        """Undone by putting files back, and by nothing else."""
        return bool(one.actuator.files) and plan_of(decision).spec.steps[one.index].rollback == "auto"

    async def _put_back(
        self, decision: Decision, kept: Kept, back: Sequence[Tried], left: Sequence[Tried], done: set[str]
    ) -> Restored:
        if kept.backup_id is None:
            return Restored()
        written: dict[str, set[str]] = {}
        for one in back:
            for path in one.actuator.files:
                written.setdefault(path, set()).update(one.wanted)
        stays = {path for one in left for path in one.actuator.files} - set(written)

        async def put_back(backup_id: str = kept.backup_id) -> Restored:
            if refused := await self.acting.guard.refusal(decision, 0.0):
                return Restored(errors=(f"files not put back: {refused}",))
            return await self.restoring.put_back(backup_id, written, set(written) - done, stays)

        return await durability.durable("put back", Restored, put_back)

    async def _undo(self, decision: Decision, one: Tried, *, restored: bool) -> list[str]:
        step = plan_of(decision).spec.steps[one.index]
        own = self.toolbox.undoers(plan_of(decision), decision.decision_id, decision).get(one.index)
        look = partial(self.acting.look, own or one.actuator)
        now = await durability.durable(f"look back {one.index}", Looked, look)
        if now.error:
            return [now.error]
        if own is not None and isinstance(step.rollback, Step):
            undo = partial(self.acting.undo_by, decision, own, now.facts, step.rollback.timeout_s)
        else:
            undo = partial(
                self.acting.undo, decision, one.actuator, one.before.facts, now.facts, step.timeout_s, restored
            )
        undone = await durability.durable(f"undo {one.index}", Undone, undo)
        return [undone.error] if undone.error else []

    async def _say(self, decision: Decision, why: Sequence[str]) -> Undoable:
        if refused := await self.acting.guard.refusal(decision, 0.0):
            return Undoable(refused=refused)

        async def say(unit: Unit) -> None:
            await self.journal.say(unit, decision, Phase.ROLLING_BACK, detail="; ".join(why))

        await self.journal.write(say)
        return Undoable()
