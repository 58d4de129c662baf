"""The steps of a playbook in order, each tried as often as it says, up to the first that fails for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from services.healer.clients.base import Actuator, Fact
from services.healer.workflows import durability
from services.healer.workflows.acting import Acting
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.journal import plan_of
from services.healer.workflows.preparing import Toolbox
from services.healer.workflows.records import Acted, Checked, Looked, Planned, PlannedStep
from shared.contracts.decider import Decision


@dataclass(slots=True)
class Tried:
    """A step that was tried, with what was seen before its first attempt and what came of its last."""

    index: int
    actuator: Actuator
    before: Looked
    acted: Acted
    wanted: frozenset[str]
    """sha256 of what any attempt may have written."""
    begun: bool
    """Whether any attempt may have touched something."""


@dataclass(frozen=True, slots=True)
class Applying:
    toolbox: Toolbox
    acting: Acting
    conditions: Conditions

    async def apply(self, decision: Decision, planned: Planned) -> list[Tried]:
        """Never raises for what a step did: the last one tells."""
        tried: list[Tried] = []
        touched: set[str] = set()
        for index, (actuator, step) in enumerate(zip(self.toolbox.actuators(decision), planned.steps, strict=True)):
            tried.append(await self._step(decision, index, actuator, step, look=step.resource in touched))
            touched.add(step.resource)
            if tried[-1].acted.error:
                break
        return tried

    async def _step(
        self, decision: Decision, index: int, actuator: Actuator, step: PlannedStep, *, look: bool
    ) -> Tried:
        before = Looked(facts=step.facts)
        if look:
            before = await durability.durable(f"look {index}", Looked, partial(self.acting.look, actuator))
        acted = await self._attempt(decision, index, actuator, before, 1)
        tried = Tried(index, actuator, before, acted, _wanted(before.facts), _begun(before, acted))
        for attempt in range(2, plan_of(decision).spec.steps[index].retry.attempts + 1):
            if not tried.acted.error or tried.acted.was_held_back:
                break
            await self._again(decision, tried, attempt)
            if tried.acted.unmet:
                break
        return tried

    async def _again(self, decision: Decision, tried: Tried, attempt: int) -> None:
        """One more attempt, after a pause, if the preconditions still hold and with a fresh look."""
        number = f"{tried.index}.{attempt}"
        pause_s = plan_of(decision).spec.steps[tried.index].retry.pause_s(attempt - 1)
        check = partial(self.conditions.check_after, decision, pause_s)
        checked = await durability.durable(f"check {number}", Checked, check)
        if checked.unmet:
            tried.acted = Acted(error=f"{tried.acted.error}; not tried again: {checked.unmet}", unmet=checked.unmet)
            return
        look = partial(self.acting.look, tried.actuator)
        before = await durability.durable(f"look {number}", Looked, look)
        if tried.before.error:
            tried.before = before
        tried.wanted |= _wanted(before.facts)
        tried.acted = await self._attempt(decision, tried.index, tried.actuator, before, attempt)
        tried.begun |= _begun(before, tried.acted)

    async def _attempt(self, decision: Decision, index: int, actuator: Actuator, before: Looked, attempt: int) -> Acted:
        if before.error:
            return Acted(error=before.error)
        act = partial(self.acting.act, decision, index, actuator, before.facts, attempt)
        return await durability.durable(f"act {index}" if attempt == 1 else f"act {index}.{attempt}", Acted, act)


def _begun(before: Looked, acted: Acted) -> bool:
    return not before.error and not acted.was_held_back


def _wanted(facts: Mapping[str, Fact]) -> frozenset[str]:
    return frozenset({str(facts.get("wanted_sha256", ""))})
