"""What a playbook would do here and now: its actuators look and describe, and nothing is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from services.healer.clients.base import Actuator, ActuatorError
from services.healer.domain.interpolation import InterpolationError
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.preparing import Toolbox, files_declared
from shared.contracts import healer as contract
from shared.contracts.decider import Decision, Plan, Verdict
from shared.outbox import Unit
from shared.packs.playbook import Playbook, Step

LOOK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Simulating:
    toolbox: Toolbox
    conditions: Conditions
    ids: Callable[[], UUID]

    async def simulate(self, request: contract.SimulateRun, unit: Unit) -> contract.SimulatedRun:
        """The plan filled in, each step as its actuator would do it now, and what comes of the preconditions."""
        decision = _as_decided(request.plan, self.ids(), self.ids(), unit)
        spec = request.plan.spec
        try:
            actuators = self.toolbox.actuators(decision)
            undoers = self.toolbox.undoers(request.plan, decision.decision_id)
            declared = files_declared(decision)
            unmet = (await self.conditions.check(decision)).unmet
        except (ActuatorError, InterpolationError) as error:
            return contract.SimulatedRun(problem=str(error))
        steps = [
            await _looked_at(step, actuator, undoers.get(index))
            for index, (step, actuator) in enumerate(zip(spec.steps, actuators, strict=True))
        ]
        files = dict.fromkeys([*declared, *(path for actuator in actuators for path in actuator.files)])
        return contract.SimulatedRun(
            steps=tuple(steps),
            backed_up=tuple(files),
            unmet=unmet,
            validation=_validation(spec),
            problem=next((f"step {n}: {one.problem}" for n, one in enumerate(steps, 1) if one.problem), ""),
        )


async def _looked_at(step: Step, actuator: Actuator, undoer: Actuator | None) -> contract.SimulatedStep:
    does, problem = await _described(actuator)
    if step.rollback == "none":
        undone = "left as it is"
    elif undoer is not None:
        undone = (await _described(undoer))[0] or f"{undoer.resource} by its own action"
    else:
        undone = "files are put back from the backup" if actuator.files else "as the actuator undoes it"
    return contract.SimulatedStep(
        actuator=step.actuator,
        resource=actuator.resource,
        does=does,
        problem=problem,
        files=tuple(actuator.files),
        attempts=step.retry.attempts,
        undone=undone,
    )


async def _described(actuator: Actuator) -> tuple[str, str]:
    """What it would do, and why it can't; one of them empty."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return actuator.describe(await actuator.observe()), ""
    except TimeoutError:
        return "", f"{actuator.resource} could not be looked at within {LOOK_TIMEOUT_S:g} s"
    except ActuatorError as error:
        return "", str(error)


def _validation(spec: Playbook) -> tuple[str, ...]:
    """What would have to hold for `window_s` after acting."""
    asked = [f"for {spec.validation.window_s:g} s: at most {spec.validation.error_count_after} new errors"]
    if spec.validation.clear != "none":
        asked.append(f"the {spec.validation.clear} is over")
    return (*asked, *(f"{one.name}: {one.that}" for one in spec.success_criteria))


def _as_decided(plan: Plan, case_id: UUID, decision_id: UUID, unit: Unit) -> Decision:
    """The decision that there would be; it is not kept, and its run never begins."""
    return Decision(
        at=unit.now,
        component=plan.component,
        case_id=case_id,
        decision_id=decision_id,
        verdict=Verdict.OBSERVE,
        reason="simulated",
        category=plan.spec.applies_to[0],
        signature="",
        confidence=1,
        threshold=1,
        risk=0,
        risk_max=1,
        mode="observe",
        dry_run=True,
        plan=plan,
        explanation="",
    )
