"""routing.*: what each does to a component's route, whatever tells that route."""

from __future__ import annotations

from collections.abc import Callable

from services.healer.clients.base import Actuator, ActuatorError, Context
from services.healer.clients.file_actuators import read_value
from services.healer.clients.files import absolute
from services.healer.clients.routing.file_route import SetInFile
from services.healer.clients.routing.http_route import RouteAddress, RouteState, SetByHttp
from services.healer.domain.routing import RoutingError, failback_target, failover_target
from shared.packs.actions.routing import RoutingBreaker, RoutingFailover
from shared.packs.component import Providers


def _declared(context: Context) -> Providers:
    if context.target.providers is None:
        raise ActuatorError(f"{context.component} has no `providers`: declare the primary, its backups and the route")
    return context.target.providers


def _or_say(choose: Callable[[str], str]) -> Callable[[str], str]:
    def chosen(current: str) -> str:
        try:
            return choose(current)
        except RoutingError as error:
            raise ActuatorError(str(error)) from error

    return chosen


def _set(context: Context, breaker_of: str | None, choose: Callable[[str], str]) -> Actuator:
    route = _declared(context).route
    if route.http is not None:
        return SetByHttp(context, route.http, breaker_of, choose)
    assert route.file is not None
    key = route.file.key
    if breaker_of is not None:
        if route.file.breaker_key is None:
            raise ActuatorError(f"the route of {context.component} has no `breaker_key`: name the breaker's setting")
        key = route.file.breaker_key.replace("{provider}", breaker_of)
    return SetInFile(context, absolute(route.file.path), key, choose)


def failover(action: RoutingFailover, context: Context) -> Actuator:
    """Raises ActuatorError when the component declares no providers."""
    providers = _declared(context)
    return _set(context, None, _or_say(lambda now: failover_target(providers, now, context.is_ill, action.to)))


def failback(context: Context) -> Actuator:
    """Raises ActuatorError when the component declares no providers."""
    providers = _declared(context)
    return _set(context, None, _or_say(lambda _now: failback_target(providers, context.is_ill)))


def breaker(action: RoutingBreaker, context: Context, state: str) -> Actuator:
    """Raises ActuatorError when the component declares no providers, or not this one."""
    providers = _declared(context)
    provider = action.provider or providers.primary
    if provider not in providers.ranked:
        raise ActuatorError(f"{provider!r} is none of the declared providers: {', '.join(providers.ranked)}")
    return _set(context, provider, lambda _now: state)


async def state_of(providers: Providers, http_hosts: tuple[str, ...]) -> RouteState:
    """Where traffic goes now. Raises ActuatorError when that can't be told."""
    route = providers.route
    if route.http is not None:
        return await RouteAddress(route.http, http_hosts, "look").state()
    assert route.file is not None
    return RouteState(provider=str(await read_value(absolute(route.file.path), route.file.key)))
