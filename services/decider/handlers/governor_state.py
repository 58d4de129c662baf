"""What the governor allows now, for people and for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.decider.handlers.world import StormBook, maintenance_of
from services.decider.store import grants
from shared import telemetry
from shared.contracts.decider_governor import GovernorRequest, GovernorState, HeldLease, PackAllowance, Spent
from shared.outbox import Unit
from shared.packs.book import Applied, PackBook, Placed
from shared.packs.schedule import Schedule


@dataclass
class GovernorView:
    packs: PackBook
    storms: StormBook
    switched_off: Callable[[], bool]

    async def state(self, request: GovernorRequest, unit: Unit) -> GovernorState:
        """Leases that are held, what is left of every budget, and the windows, storms and switches that are on."""
        names = [name for name in sorted(self.packs.packs) if request.pack in {None, name}]
        recent = await grants.recent(unit.session, names, (), unit.now - grants.BUDGET_WINDOW)
        held = [row for row in await grants.held(unit.session) if request.pack in {None, row.pack}]
        return GovernorState(
            at=unit.now,
            switched_off=self.switched_off(),
            leases=tuple(
                HeldLease(
                    component=row.component,
                    epoch=row.epoch,
                    decision_id=row.decision_id,
                    pack=row.pack,
                    playbook=row.playbook,
                    since=row.granted_at,
                    until=row.lease_until,
                )
                for row in held
            ),
            packs=tuple(self._pack(name, self.packs.packs[name], recent, unit.now) for name in names),
        )

    def _pack(self, name: str, applied: Applied, recent: Sequence[grants.Recent], now: datetime) -> PackAllowance:
        pack, policy = applied.pack, applied.pack.policy
        here: Counter[str] = Counter()
        books: Counter[str] = Counter()
        mine = [row for row in recent if row.pack == name]
        for row in mine:
            here[row.component] += row.granted
            books[row.playbook] += row.granted
        return PackAllowance(
            pack=name,
            mode=pack.mode.value,
            spent=here.total(),
            allowed=policy.actions_per_hour,
            busy=tuple(sorted({row.component for row in mine if row.busy})),
            most_at_once=policy.max_targets_at_once,
            components=tuple(
                Spent(name=one, spent=count, allowed=policy.component_actions_per_hour)
                for one, count in sorted(here.items())
                if count
            ),
            playbooks=tuple(
                Spent(name=one, spent=books[one], allowed=book.actions_per_hour)
                for one, book in sorted(pack.playbooks.items())
                if book.actions_per_hour is not None
            ),
            frozen=tuple(window for window in policy.freeze if Schedule.parse(window).covers(now)),
            in_maintenance=tuple(
                one
                for one, component in sorted(pack.components.items())
                if any(
                    Schedule.parse(window).covers(now)
                    for window in maintenance_of(one, Placed(pack, applied.version, component))
                )
            ),
            storm=self.storms.words(name),
        )

    async def measure(self, unit: Unit) -> None:
        """Keeps the governor's metrics up to date."""
        state = await self.state(GovernorRequest(), unit)
        telemetry.LEASES_HELD.set(len(state.leases))
        telemetry.BUDGET_LEFT.clear()
        for pack in state.packs:
            telemetry.BUDGET_LEFT.labels(pack.pack).set(max(0, pack.allowed - pack.spent))
