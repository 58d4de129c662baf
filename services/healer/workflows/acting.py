"""The steps themselves and their undoing, and the watching in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.healer.clients.base import Actuator, Done, Facts, IrreversibleError
from services.healer.domain.conditions import Errors, Unmet
from services.healer.domain.runs import Reason
from services.healer.domain.validation import (
    PATIENCE,
    Cleared,
    ErrorHistory,
    Window,
    doomed,
    errors_between,
    standing,
    verdict,
)
from services.healer.store import cases, runs
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.guard import Guard
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.records import Acted, Applied, Judged, Looked, Reading, Undone
from services.healer.workflows.rehearsal import Rehearsal
from services.healer.workflows.routes import ROUTE_CHANGES, route_changed
from shared.contracts.decider import Decision
from shared.contracts.healer import Phase
from shared.outbox import Unit

log = structlog.get_logger()

POLL_S = 0.2
LOOK_AGAIN_S = 0.5
"""Pause between looks at a window that has ended without evidence."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Bodies of durable steps: each may be repeated after a crash at any point in it, with the effect of once."""

    journal: Journal
    clock: Callable[[], datetime]
    errors_of: Callable[[str], ErrorHistory]
    conditions: Conditions
    guard: Guard

    async def look(self, actuator: Actuator) -> Looked:
        """Looks again where an earlier step has changed what the plan saw."""
        try:
            return Looked(facts=dict(await actuator.observe()))
        except Exception as error:  # noqa: BLE001 - whatever it was, the way back must be taken
            return Looked(error=_text(error))

    async def act(self, decision: Decision, index: int, actuator: Actuator, facts: Facts, attempt: int = 1) -> Acted:
        """One attempt at one step of the playbook."""
        step = plan_of(decision).spec.steps[index]
        if refused := await self.guard.refusal(decision, step.timeout_s):
            return Acted(error=refused, held_back=True)
        began = time.perf_counter()
        done, problem = await _attempt(actuator.apply(facts), step.timeout_s)
        duration_ms = (time.perf_counter() - began) * 1000
        acted = Acted(detail=done, error=problem, duration_ms=duration_ms)
        again = f" (attempt {attempt})" if attempt > 1 else ""
        name = f"{index + 1}/{len(plan_of(decision).spec.steps)} {step.actuator}{again}"

        async def say(unit: Unit) -> None:
            detail = f"failed: {problem}" if problem else done
            await self.journal.say(unit, decision, Phase.STEP, step=name, detail=detail, duration_ms=duration_ms)
            if not problem and step.actuator in ROUTE_CHANGES:
                unit.emit(route_changed(decision, index, ROUTE_CHANGES[step.actuator], facts, unit.now))

        await self.journal.write(say)
        return acted

    async def undo(
        self, decision: Decision, actuator: Actuator, before: Facts, now: Facts, timeout_s: float, restored: bool
    ) -> Undone:
        if refused := await self.guard.refusal(decision, timeout_s):
            return Undone(error=f"not undone: {refused}")
        done, problem = await _attempt(actuator.undo(before, now, files_restored=restored), timeout_s)
        return Undone(detail=done, error=problem)

    async def undo_by(self, decision: Decision, undoer: Actuator, seen: Facts, timeout_s: float) -> Undone:
        """Undoes a step by the action that the playbook names for it."""
        if refused := await self.guard.refusal(decision, timeout_s):
            return Undone(error=f"not undone: {refused}")
        done, problem = await _attempt(undoer.apply(seen), timeout_s)
        return Undone(detail=done, error=problem)

    async def applied(self, decision: Decision) -> Applied:
        """All steps are done: the window begins."""
        window_s = plan_of(decision).spec.validation.window_s

        async def note(unit: Unit) -> Applied:
            at = await runs.note_applied(unit.session, decision.decision_id, unit.now, timedelta(seconds=window_s))
            until = (at + timedelta(seconds=window_s)).isoformat(timespec="milliseconds")
            await self.journal.say(unit, decision, Phase.VALIDATING, detail=f"until {until}")
            return Applied(at=at)

        return await self.journal.write(note)

    async def settle(self, decision: Decision, window: Window) -> Reading:
        """Waits until the first half has been told of; errors in it are the tail of the trouble."""
        await self._until(window.baseline_at)
        dependents = {name: self.errors_of(name).newest for name in self.conditions.dependents_of(decision)}
        return Reading(at=self.clock(), errors=self.errors_of(decision.component).newest, dependents=dependents)

    async def _until(self, moment: datetime) -> None:
        """In short sleeps: the clock that counts is the injected one."""
        left_s = (moment - self.clock()).total_seconds()
        while left_s > 0:
            await asyncio.sleep(min(left_s, POLL_S))
            left_s = (moment - self.clock()).total_seconds()

    async def judge(self, decision: Decision, window: Window, baseline: Reading) -> Judged:
        """Watches the second half; a run that can't become valid any more is judged at once."""
        allowed = plan_of(decision).spec.validation.error_count_after
        end = window.ends_at(baseline.at)
        while True:
            errors = self._errors_since(decision.component, baseline)
            left_s = (end - self.clock()).total_seconds()
            if left_s <= 0 or doomed(errors, allowed):
                break
            await asyncio.sleep(min(left_s, POLL_S))
        judged, known = await self._judged(decision, window, baseline)
        while not known and self.clock() < end + PATIENCE:
            await asyncio.sleep(LOOK_AGAIN_S)
            judged, known = await self._judged(decision, window, baseline)
        return judged

    async def _judged(self, decision: Decision, window: Window, baseline: Reading) -> tuple[Judged, bool]:
        """What the second half has shown so far, and whether that is all that is asked: what nobody has told yet may
        still be on its way, as a metric that is reported twice a minute."""
        allowed = plan_of(decision).spec.validation.error_count_after
        cleared = await self._cleared(decision, window)
        errors = self._errors_since(decision.component, baseline)
        reason, known = verdict(cleared, errors, allowed), cleared is not Cleared.UNSEEN or doomed(errors, allowed)
        detail = f"{errors} errors ({allowed} allowed), clear: {cleared.value}"
        if reason is Reason.HEALED and (unmet := await self._criterion(decision, window, baseline, errors, cleared)):
            reason, detail, known = Reason.CRITERION_NOT_MET, f"{unmet.words}; {detail}", unmet.known
        return Judged(reason=reason, errors=errors, detail=detail), known

    async def _criterion(
        self, decision: Decision, window: Window, baseline: Reading, errors: int, cleared: Cleared
    ) -> Unmet | None:
        """The playbook's first success criterion that does not hold at the end of the window."""
        around = sum(
            errors_between(before, self.errors_of(name).newest) for name, before in baseline.dependents.items()
        )
        seen = Errors(component=errors, dependents=around)
        return await self.conditions.criteria(decision, window.half_at, seen, clear=cleared is Cleared.YES)

    def _errors_since(self, component: str, baseline: Reading) -> int:
        """Errors that happened after the baseline was read: what is told late of the time before raises it."""
        history = self.errors_of(component)
        return errors_between(max(baseline.errors, history.until(baseline.at)), history.newest)

    async def _cleared(self, decision: Decision, window: Window) -> Cleared:
        """The case itself where it is of the kind that must clear, else whatever is open on the component."""
        clear = plan_of(decision).spec.validation.clear

        async def ask(unit: Unit) -> Cleared:
            if isinstance(decision, Rehearsal) and decision.validation_broken:
                return Cleared.NO
            if clear == "none":
                return Cleared.YES
            if decision.case_kind.value != clear:
                still_open = await cases.any_open(unit.session, decision.component, clear)
                return Cleared.NO if still_open else Cleared.YES
            state = await cases.get(unit.session, decision.case_id)
            if state is None:
                return Cleared.UNKNOWN
            return standing(is_open=state.is_open, seen_bad_at=state.seen_bad_at, half_at=window.half_at)

        return await self.journal.write(ask)


async def _attempt(action: Awaitable[Done], timeout_s: float) -> tuple[str, str]:
    """What it did and what went wrong, one of them empty."""
    try:
        async with asyncio.timeout(timeout_s):
            return (await action).detail, ""
    except TimeoutError:
        return "", f"took longer than timeout_s = {timeout_s:g}"
    except Exception as error:
        if not isinstance(error, IrreversibleError):
            log.warning("step failed", error=_text(error), exc_info=error)
        return "", _text(error)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
