"""The five scenarios and what is measured in each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from examples.shop.control import Shop
from examples.shop.faults import FAULTS, Fault
from examples.shop.settings import COMPONENTS
from services.cli.demo.recorder import Recorder
from shared.contracts.base import Category
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Incident
from shared.contracts.healer import Outcome, Phase, Result, RunProgress
from shared.contracts.predictor import Prediction

EXPECTED_CATEGORY = {
    "process-crash": Category.CRASH,
    "process-hang": Category.HANG,
    "configuration": Category.CONFIGURATION,
    "memory-leak": Category.RESOURCE_EXHAUSTION,
}
"""How the shop names what it broke → what the diagnosis should say."""
HEAL_DEADLINE_S = {"leak": 90.0}
DEFAULT_DEADLINE_S = 45.0
CALM_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one scenario. Times are seconds after the fault; None: it did not happen."""

    fault: str
    component: str
    injected_at: datetime
    ended_at: datetime
    noticed_s: float | None
    cause: str
    cause_is_right: bool
    playbook: str
    restarted_s: float | None
    validated_s: float | None
    failed_requests: int
    total_requests: int
    healed: bool
    problem: str
    case_id: str


class Scenarios:
    """Runs scenarios one after the other on a shop that Homeostat watches."""

    def __init__(self, shop: Shop, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._shop = shop
        self._recorder = recorder
        self._say = say

    async def fault(self, name: str) -> Row:
        """Breaks the shop and waits until it is healed, or the deadline has passed; then cleans up in any case."""
        fault: Fault = FAULTS[name](self._shop.settings)
        injected_at = datetime.now(UTC)
        await asyncio.to_thread(fault.inject)
        self._say(f"fault injected: {name} on {fault.component}")
        deadline_s = HEAL_DEADLINE_S.get(name, DEFAULT_DEADLINE_S)
        await self._recorder.wait_for(lambda: self._succeeded(fault, injected_at) is not None, deadline_s)
        problem = await self._left_broken(fault)
        await asyncio.to_thread(fault.clean)
        row = self._row(fault, injected_at, problem)
        await self.calm()
        return row

    async def bursts(self, seconds: float) -> Row:
        """Thirty seconds of rushes of customers: nothing may be touched."""
        starts = {component: self._shop.starts(component) for component in COMPONENTS}
        began = datetime.now(UTC)
        self._say(f"no fault: {seconds:g} s of bursts of traffic")
        await asyncio.to_thread(self._shop.set_profile, "bursts", seconds)
        await asyncio.sleep(seconds)
        ended = datetime.now(UTC)
        touched = [
            decision.plan.playbook if decision.plan else decision.reason
            for decision in self._recorder.of(Decision, began)
            if decision.verdict is Verdict.EXECUTE
        ]
        touched += [
            f"{component} was started" for component, count in starts.items() if self._shop.starts(component) != count
        ]
        counts = self._shop.requests_between(began, ended)
        return Row(
            fault="bursts",
            component="-",
            injected_at=began,
            ended_at=ended,
            noticed_s=None,
            cause="nothing to find",
            cause_is_right=not touched,
            playbook="-",
            restarted_s=None,
            validated_s=None,
            failed_requests=counts.failed,
            total_requests=counts.total,
            healed=not touched,
            problem="; ".join(touched),
            case_id="",
        )

    async def calm(self) -> None:
        """Waits until no incident is open and no run is going on, so that scenarios don't mix."""
        await self._recorder.wait_for(lambda: not self._open_cases(), CALM_DEADLINE_S)

    def _open_cases(self) -> set[str]:
        cases: set[str] = set()
        for event in self._recorder.events:
            if isinstance(event, Incident):
                (cases.add if event.is_open else cases.discard)(str(event.case_id))
            elif isinstance(event, RunProgress) and event.phase in (Phase.QUEUED, Phase.PLANNED):
                cases.add(f"run {event.decision_id}")
            elif isinstance(event, Outcome):
                cases.discard(f"run {event.decision_id}")
        return cases

    def _succeeded(self, fault: Fault, since: datetime) -> Outcome | None:
        return next(
            (
                outcome
                for outcome in self._recorder.of(Outcome, since)
                if outcome.result is Result.SUCCEEDED and outcome.component == fault.component
            ),
            None,
        )

    async def _left_broken(self, fault: Fault) -> str:
        """What is still wrong after healing, seen by the one who broke it; empty when nothing is."""
        return "; ".join(await asyncio.to_thread(fault.problems))

    def _row(self, fault: Fault, injected_at: datetime, problem: str) -> Row:
        outcome = self._succeeded(fault, injected_at)
        ended_at = outcome.finished_at if outcome else datetime.now(UTC)
        decision = next(
            (d for d in self._recorder.of(Decision, injected_at) if outcome and d.decision_id == outcome.decision_id),
            None,
        )
        expected = EXPECTED_CATEGORY[fault.expected_cause] if fault.expected_cause else None
        counts = self._shop.requests_between(injected_at, ended_at)
        cause = f"{decision.category} of {decision.component}" if decision else "none named"
        right = decision is not None and decision.category == expected and decision.component == fault.component

        def after(at: datetime | None) -> float | None:
            return (at - injected_at).total_seconds() if at else None

        return Row(
            fault=fault.name,
            component=fault.component,
            injected_at=injected_at,
            ended_at=ended_at,
            noticed_s=after(self._noticed_at(fault, injected_at)),
            cause=cause,
            cause_is_right=right,
            playbook=outcome.playbook if outcome else "-",
            restarted_s=after(outcome.applied_at) if outcome else None,
            validated_s=after(outcome.finished_at) if outcome else None,
            failed_requests=counts.failed,
            total_requests=counts.total,
            healed=outcome is not None and not problem,
            problem=problem or ("" if outcome else "not healed in time"),
            case_id=str(outcome.case_id) if outcome else "",
        )

    def _noticed_at(self, fault: Fault, since: datetime) -> datetime | None:
        incidents = [i.opened_at for i in self._recorder.of(Incident, since) if i.component == fault.component]
        predictions = [p.at for p in self._recorder.of(Prediction, since) if p.component == fault.component]
        return min([*incidents, *predictions], default=None)
