"""Secrets, allowed hosts and one bounded HTTP request: what every channel needs, and what none may say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from shared.packs.component import SecretRef

TIMEOUT_S = 10.0
_AGAIN = frozenset({408, 425, 429})


class DeliveryError(Exception):
    """A message was not taken. The text names the host, never a secret, a whole address or an answer's body.

    `is_final`: repeating it can't help. `retry_after_s`: how long the receiver wants to be left alone.
    """

    def __init__(self, text: str, *, is_final: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


def read_secret(reference: SecretRef) -> str:
    """The secret that a pack names. Raises DeliveryError when it isn't there; a file may come later."""
    if reference.env is not None:
        if reference.env not in os.environ:
            raise DeliveryError(f"environment variable {reference.env} is not set for the gateway")
        return os.environ[reference.env]
    try:
        return Path(reference.file or "").read_text().strip()
    except OSError as error:
        raise DeliveryError(f"can't read secret file {reference.file}: {error.strerror}") from None


def allowed_host(address: str, http_hosts: Sequence[str]) -> str:
    """The host of an address that the pack lets be called. Raises DeliveryError, without the address in it."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise DeliveryError("its address is not a URL", is_final=True) from None
    authority = f"{url.host}:{url.port}" if url.port else url.host
    if url.scheme not in {"http", "https"} or not {url.host, authority} & set(http_hosts):
        raise DeliveryError(f"{url.host!r} is not allowed: add it to `http_hosts` of the pack", is_final=True)
    return url.host


async def post(address: str, body: bytes, headers: Mapping[str, str], http_hosts: Sequence[str]) -> httpx.Response:
    """One request to an allowed host; any answer below 300 is good.

    Raises:
        DeliveryError: it was not taken; final for answers that say so (4xx but 408, 425 and 429).
    """
    host = allowed_host(address, http_hosts)
    try:
        # no proxies and no redirects: both would reach hosts that nobody declared
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            response = await client.post(
                address, content=body, headers={"Content-Type": "application/json; charset=utf-8", **headers}
            )
    except httpx.HTTPError as error:
        raise DeliveryError(f"{host}: {type(error).__name__}") from None
    if not response.is_success:
        is_final = 400 <= response.status_code < 500 and response.status_code not in _AGAIN
        raise DeliveryError(
            f"{host} answered {response.status_code}", is_final=is_final, retry_after_s=_retry_after_s(response)
        )
    return response


def _retry_after_s(response: httpx.Response) -> float | None:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else None
