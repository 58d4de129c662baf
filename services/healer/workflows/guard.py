"""The last word before anything is touched: the kill switch, and whether the run's lease still holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from services.healer.domain.fencing import Lease, fenced
from services.healer.store import fences
from services.healer.workflows.journal import Journal, plan_of
from shared import telemetry
from shared.contracts import decider
from shared.contracts.decider import Decision
from shared.contracts.healer import LeaseRenewal
from shared.outbox import Unit

log = structlog.get_logger()

SWITCHED_OFF = "the kill switch is on"


@dataclass
class LeaseBook:
    """The newest lease of each component, as the decider tells it."""

    _known: dict[str, Lease] = field(default_factory=dict)

    async def seen(self, component: str, lease: decider.Lease | None) -> None:
        """For `bus.watch(Lease, book.seen)`."""
        if lease is not None:
            over = lease.state is not decider.LeaseState.HELD
            self._known[component] = self.of(component).heard(Lease(lease.epoch, lease.until, over))

    def of(self, component: str) -> Lease:
        return self._known.get(component) or Lease()


@dataclass(frozen=True, slots=True)
class Guard:
    """Asked before every step, every repetition of one, and every undoing."""

    journal: Journal
    leases: LeaseBook
    clock: Callable[[], datetime]
    switched_off: Callable[[], bool]
    """The kill switch: while it is on, nothing is touched."""
    me: str
    """Names this process among all that ever ran."""
    ids: Callable[[], UUID]

    async def take(self, decision: Decision) -> None:
        """This process carries out the run from now on."""
        await self.journal.write(lambda unit: fences.take(unit.session, decision.decision_id, self.me))

    async def refusal(self, decision: Decision, needs_s: float) -> str:
        """Why nothing that takes up to `needs_s` may be begun; empty when it may. Waits for PostgreSQL when it is away,
        and looks at the switch and the clock after that."""
        if self.switched_off():
            return SWITCHED_OFF  # known without the database

        async def look(unit: Unit) -> tuple[int, str]:
            newest = await fences.newest(unit.session, decision.component)
            return newest, await fences.holder_of(unit.session, decision.decision_id)

        newest, holder = await self.journal.write(look)
        if self.switched_off():
            return SWITCHED_OFF
        plan = plan_of(decision)
        lease = Lease(plan.epoch, plan.lease_until).heard(self.leases.of(decision.component)).heard(Lease(newest))
        refused = fenced(plan.epoch, lease, holder, self.me, self.clock(), needs_s)
        if refused:
            telemetry.FENCED.inc()
            log.error("run is fenced off", decision_id=str(decision.decision_id), why=refused)
        return refused

    async def renew(self, unit: Unit) -> None:
        """Asks the decider to prolong the leases of what this process carries out."""
        for run in await fences.held_by(unit.session, self.me):
            decision = Decision.model_validate(run.decision)
            unit.emit(
                LeaseRenewal(
                    id=self.ids(),
                    at=unit.now,
                    component=decision.component,
                    case_id=decision.case_id,
                    case_kind=decision.case_kind,
                    decision_id=decision.decision_id,
                    epoch=run.epoch,
                )
            )
