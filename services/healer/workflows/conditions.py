"""Looking at what a playbook asks to hold: the moment before it acts, and at the end of its validation window."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.healer.domain.conditions import (
    Errors,
    Figure,
    Standing,
    Surroundings,
    Unmet,
    first_unmet,
    wants_figures,
)
from services.healer.domain.interpolation import values_of
from services.healer.store import cases, runs
from services.healer.workflows.journal import Journal, plan_of
from services.healer.workflows.records import Checked
from shared.contracts.decider import Decision
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.playbook import Condition

FIGURES_BEFORE = timedelta(seconds=120)
"""How far back a precondition looks at metrics."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Bodies of durable steps: what they find is kept, so that a repetition goes the same way."""

    journal: Journal
    clock: Callable[[], datetime]
    packs: PackBook
    standings: Callable[[], Mapping[str, Standing]]
    figures: Callable[[str, datetime], Awaitable[Mapping[str, Figure]]]
    """`(component, since)` → its metrics."""

    async def check(self, decision: Decision) -> Checked:
        """The playbook's preconditions."""
        wanted = plan_of(decision).spec.preconditions
        if not wanted:
            return Checked()
        seen = await self._look(decision, wanted, self.clock() - FIGURES_BEFORE)
        unmet = first_unmet(wanted, seen)
        return Checked(unmet=unmet.words if unmet else "")

    async def check_after(self, decision: Decision, pause_s: float) -> Checked:
        """The same, after a pause."""
        await asyncio.sleep(pause_s)
        return await self.check(decision)

    async def criteria(self, decision: Decision, since: datetime, errors: Errors, *, clear: bool) -> Unmet | None:
        """The first success criterion that does not hold; metrics are looked at from `since` on."""
        wanted = plan_of(decision).spec.success_criteria
        if not wanted:
            return None
        return first_unmet(wanted, await self._look(decision, wanted, since, clear=clear), errors)

    def dependents_of(self, decision: Decision) -> Collection[str]:
        """Components whose errors count as the component's own, where success criteria ask."""
        return self.packs.dependents_of(decision.component) if plan_of(decision).spec.success_criteria else ()

    async def _look(
        self, decision: Decision, wanted: Sequence[Condition], since: datetime, *, clear: bool | None = None
    ) -> Surroundings:
        plan = plan_of(decision)

        async def ask(unit: Unit) -> tuple[list[str], bool]:
            state = await cases.get(unit.session, decision.case_id)
            others = await runs.acted_on(unit.session, decision.decision_id)
            return others, state is not None and not state.is_open

        acted_on, over = await self.journal.write(ask)
        return Surroundings(
            now=self.clock(),
            name=plan.component,
            component=plan.target,
            parameters=values_of(plan.spec.parameters),
            health=self.standings(),
            dependencies=sorted(self.packs.callees_of(plan.component)),
            dependents=sorted(self.packs.dependents_of(plan.component)),
            acted_on=acted_on,
            case_kind=decision.case_kind.value,
            case_clear=over if clear is None else clear,
            figures=await self.figures(plan.component, since) if wants_figures(wanted) else {},
        )
