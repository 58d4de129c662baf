"""The steady look at routes: where each component's traffic goes now, whoever has set it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from services.healer.clients.base import ActuatorError
from services.healer.clients.routing.actuators import state_of
from services.healer.clients.routing.http_route import RouteState
from shared import telemetry
from shared.contracts.healer import Route
from shared.outbox import Units
from shared.packs.book import PackBook
from shared.packs.component import Providers

log = structlog.get_logger()

LOOK_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Routes:
    """Says each route when it has changed. What was said last is followed on the bus, so that a restart or another
    replica doesn't say it again, nor forget since when it holds."""

    packs: PackBook
    units: Units
    ids: Callable[[], UUID]
    every_s: float
    _said: dict[str, Route] = field(default_factory=dict)
    _unreadable: dict[str, str] = field(default_factory=dict)

    async def seen(self, component: str, route: Route | None) -> None:
        """For `bus.watch(Route, routes.seen)`."""
        if route is None:
            self._said.pop(component, None)
        else:
            self._said[component] = route

    async def run(self) -> None:
        """Looks for ever; beside the other work, since an application's answer may take its time."""
        while True:
            await asyncio.sleep(self.every_s)
            await self.look()

    async def look(self) -> None:
        """One look at every component that has providers."""
        wanted = [
            (name, component.providers, applied.pack.http_hosts)
            for applied in self.packs.packs.values()
            for name, component in applied.pack.components.items()
            if component.providers is not None
        ]
        states = await asyncio.gather(*(self._read(*one) for one in wanted))
        for (name, providers, _), state in zip(wanted, states, strict=True):
            if state is not None:
                await self._tell(name, providers, state)

    async def _tell(self, name: str, providers: Providers, state: RouteState) -> None:
        telemetry.ON_BACKUP.labels(name).set(state.provider != providers.primary)
        said = self._said.get(name)
        stays = said is not None and said.provider == state.provider
        if said is not None and stays and (said.primary, said.breakers) == (providers.primary, state.breakers):
            return
        async with self.units.begin() as unit:
            route = Route(
                id=self.ids(),
                at=unit.now,
                component=name,
                provider=state.provider,
                primary=providers.primary,
                since=said.since if said is not None and stays else unit.now,
                breakers=state.breakers,
            )
            unit.emit(route)
        self._said[name] = route
        log.info("route", component=name, provider=state.provider, primary=providers.primary)

    async def _read(self, name: str, providers: Providers, http_hosts: tuple[str, ...]) -> RouteState | None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                state = await state_of(providers, http_hosts)
        except (ActuatorError, TimeoutError) as error:
            problem = str(error) or f"no answer within {LOOK_TIMEOUT_S:g} s"
            if self._unreadable.get(name) != problem:
                log.warning("route can't be told", component=name, error=problem)
            self._unreadable[name] = problem
            return None
        self._unreadable.pop(name, None)
        return state
