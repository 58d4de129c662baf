"""Watches detours: components on a backup provider, whose way back is a case of its own when it is due."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid5

from services.decider.domain.life import State
from services.decider.domain.returning import REMEMBERED, Detour, due_at, wait_s
from services.decider.handlers import translate
from services.decider.handlers.casework import Casework
from services.decider.store import cases
from shared.contracts.decider import ProviderRecovered
from shared.contracts.healer import Route
from shared.outbox import Unit


@dataclass
class Returns:
    """Opens the case of going back, decides it once, and withdraws it when the primary falls ill meanwhile."""

    work: Casework
    _routes: dict[str, Route] = field(default_factory=dict)

    async def seen(self, component: str, route: Route | None) -> None:
        """For `bus.watch(Route, returns.seen)`."""
        if route is None:
            self._routes.pop(component, None)
        else:
            self._routes[component] = route

    async def tick(self, unit: Unit) -> None:
        """One look at every detour."""
        if not self._routes:
            return
        for row in await cases.live_recoveries(unit.session, list(self._routes)):
            detour = self._detour(row.component)
            if detour is None or self._well_since(detour.primary) is None:
                cases.keep(row, replace(cases.facts_of(row), is_open=False), unit.now)
                await self.work.over(unit, row)
        for component, route in self._routes.items():
            detour = self._detour(component)
            if detour is not None:
                await self._consider(unit, route, detour)

    def _detour(self, component: str) -> Detour | None:
        """None: its traffic goes where it should, or nobody says where it should go."""
        route, placed = self._routes.get(component), self.work.world.packs.component(component)
        providers = placed.component.providers if placed else None
        if route is None or providers is None or route.provider == providers.primary:
            return None
        return Detour(component, providers.primary, route.provider, route.since, providers.return_after_s)

    def _well_since(self, component: str) -> datetime | None:
        return self.work.world.health.healthy_since(component)

    async def _consider(self, unit: Unit, route: Route, detour: Detour) -> None:
        well_since = self._well_since(detour.primary)
        if well_since is None:
            return
        recoveries = await cases.recoveries_of(unit.session, detour.component, unit.now - REMEMBERED)
        if any(row.state != State.CLOSED.value for row in recoveries):
            return
        tried = [cases.facts_of(row).opened_at for row in recoveries]
        due = due_at(detour, well_since, tried, unit.now)
        if due is None or unit.now < due:
            return
        if detour.component in await cases.with_open_incident(unit.session, [detour.component], route.id):
            return
        await self._open(unit, route, detour, well_since, tried)

    async def _open(
        self, unit: Unit, route: Route, detour: Detour, well_since: datetime, tried: list[datetime]
    ) -> None:
        event = ProviderRecovered(
            id=uuid5(route.id, f"recovered:{len(tried)}"),
            at=unit.now,
            component=detour.component,
            case_id=_case_id(route.id, len(tried)),
            provider=detour.primary,
            in_use=detour.in_use,
            well_since=well_since,
            waited_s=wait_s(detour.return_after_s, len(tried)),
            returns_of_the_day=len(tried),
        )
        row = await cases.take(unit.session, translate.of_recovery(event), unit.now)
        if row.source_revision > 0:
            return
        row.source_revision = 1
        unit.emit(event)
        await self.work.decide(unit, row)


def _case_id(route: UUID, tried: int) -> UUID:
    """One case for each time the way back comes due from this detour, whichever replica sees it first."""
    return uuid5(route, f"recovery:{tried}")
