"""A route that the application tells at an address of its own: read, set, and read again before it is believed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.healer.clients.base import ActuatorError, Context, Done, Facts, text
from services.healer.clients.secrets import read_secret
from shared.packs.component import HttpRoute

_TIMEOUT_S = 5.0


class RouteState(BaseModel):
    """What the application answers: the provider in use, and the breakers in front of providers."""

    model_config = ConfigDict(frozen=True)

    provider: str
    breakers: dict[str, str] = {}


class RouteAddress:
    """Asks and sets an application's route; only at hosts that the pack declares."""

    def __init__(self, route: HttpRoute, http_hosts: Sequence[str], key: str) -> None:
        self._route, self._key = route, key
        try:
            url = httpx.URL(route.url)
        except httpx.InvalidURL as error:
            raise ActuatorError(f"{route.url!r} is not a URL: {error}") from error
        authority = f"{url.host}:{url.port}" if url.port else url.host
        if url.scheme not in {"http", "https"} or not {url.host, authority} & set(http_hosts):
            raise ActuatorError(f"{route.url!r} is not allowed: add {url.host!r} to `http_hosts` of the pack")

    async def state(self) -> RouteState:
        """Raises ActuatorError when it doesn't answer as described in `HttpRoute`."""
        response = await self._request("GET", None)
        try:
            return RouteState.model_validate_json(response.content)
        except ValidationError as error:
            remedy = 'answer {"provider": …, "breakers": {…}}'
            raise ActuatorError(
                f"GET {self._route.url} did not tell a route ({error.error_count()} problems): {remedy}"
            ) from error

    async def put(self, body: dict[str, object]) -> None:
        await self._request("PUT", body)

    async def _request(self, method: str, body: dict[str, object] | None) -> httpx.Response:
        headers = {"Idempotency-Key": self._key}
        if self._route.token is not None:
            headers["Authorization"] = f"Bearer {read_secret(self._route.token, os.environ)}"
        try:
            # no proxies and no redirects: both would reach hosts that nobody declared
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
                response = await client.request(method, self._route.url, headers=headers, json=body)
        except httpx.HTTPError as error:
            raise ActuatorError(f"{method} {self._route.url} failed: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise ActuatorError(f"{method} {self._route.url} answered {response.status_code}")
        return response


@dataclass(frozen=True, slots=True)
class SetByHttp:
    """Sets the provider in use, or one provider's breaker, to what `choose` makes of its present value."""

    context: Context
    route: HttpRoute
    breaker_of: str | None
    """The provider whose breaker is set; None: the provider in use is."""
    choose: Callable[[str], str]

    @property
    def resource(self) -> str:
        return f"route:{self.route.url}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    @property
    def _name(self) -> str:
        return f"breaker of {self.breaker_of}" if self.breaker_of else "provider"

    def _address(self) -> RouteAddress:
        return RouteAddress(self.route, self.context.http_hosts, self.context.key)

    async def _now(self) -> str:
        state = await self._address().state()
        return state.breakers.get(self.breaker_of, "closed") if self.breaker_of else state.provider

    async def observe(self) -> Facts:
        """When there is nowhere to go that is kept as `problem`: a look back, for undoing, must still tell `from`."""
        now = await self._now()
        try:
            return {"from": now, "to": self.choose(now)}
        except ActuatorError as error:
            return {"from": now, "problem": str(error)}

    def describe(self, seen: Facts) -> str:
        """Raises ActuatorError where there is nowhere to go: nothing is planned then."""
        if "problem" in seen:
            raise ActuatorError(text(seen, "problem"))
        return f"set the {self._name} at {self.route.url} from {seen['from']} to {seen['to']}"

    async def apply(self, seen: Facts) -> Done:
        if "problem" in seen:
            raise ActuatorError(text(seen, "problem"))
        return await self._set(text(seen, "from"), text(seen, "to"))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if "problem" in before:
            return Done("nothing was set", changed=False)
        return await self._set(text(before, "to"), text(before, "from"))

    async def _set(self, expected: str, wanted: str) -> Done:
        now = await self._now()
        if now == wanted:
            return Done(f"the {self._name} is {wanted} already", changed=False)
        if now != expected:
            raise ActuatorError(
                f"the {self._name} at {self.route.url} is {now}, not {expected}: somebody else has set it, left so"
            )
        await self._address().put({"breakers": {self.breaker_of: wanted}} if self.breaker_of else {"provider": wanted})
        told = await self._now()
        if told != wanted:
            raise ActuatorError(f"the {self._name} at {self.route.url} reads back as {told}, not {wanted}")
        return Done(f"{self._name}: {expected} → {wanted}")
