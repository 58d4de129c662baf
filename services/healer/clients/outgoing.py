"""Where actions may send things: to hosts that the pack declares, and to no other."""

from __future__ import annotations

from collections.abc import Collection

import httpx

from services.healer.clients.base import ActuatorError


def declared_host(actuator: str, address: str, hosts: Collection[str]) -> str:
    """The host of `address`; `hosts` are `host` or `host:port`. Raises ActuatorError for an address of none of them."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ActuatorError(f"{address!r} is not a URL: {error}") from error
    authority = f"{url.host}:{url.port}" if url.port else url.host
    if url.scheme not in {"http", "https"} or not {url.host, authority} & set(hosts):
        raise ActuatorError(f"{actuator} to {address!r} is not allowed: add {url.host!r} to `http_hosts` of the pack")
    return url.host
