"""http.call: one request to a host that the pack declares, named so that the receiver can drop a repetition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from shared.packs.actions.calls import HttpCall

_BODY_SHOWN = 200


@dataclass(frozen=True, slots=True)
class CallHttp:
    """After a crash between sending and noting the answer the call is repeated under the same Idempotency-Key."""

    context: Context
    action: HttpCall

    @property
    def resource(self) -> str:
        return f"http:{self.action.url}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        """Only checks that the call is allowed."""
        try:
            url = httpx.URL(self.action.url)
        except httpx.InvalidURL as error:
            raise ActuatorError(f"{self.action.url!r} is not a URL: {error}") from error
        authority = f"{url.host}:{url.port}" if url.port else url.host
        if url.scheme not in {"http", "https"} or not {url.host, authority} & set(self.context.http_hosts):
            raise ActuatorError(
                f"http.call to {self.action.url!r} is not allowed: add {url.host!r} to `http_hosts` of the pack"
            )
        return {"host": url.host}

    def describe(self, seen: Facts) -> str:
        return f"{self.action.method} {self.action.url}"

    async def apply(self, seen: Facts) -> Done:
        headers = {**self.action.headers, "Idempotency-Key": self.context.key}
        try:
            # no proxies and no redirects: both would reach hosts that nobody declared
            async with httpx.AsyncClient(timeout=self.context.timeout_s, trust_env=False) as client:
                response = await client.request(
                    self.action.method, self.action.url, headers=headers, json=self.action.body
                )
        except httpx.HTTPError as error:
            raise ActuatorError(f"{self.action.method} {self.action.url} failed: {error!r}") from error
        if response.status_code not in self.action.expect_status:
            raise ActuatorError(
                f"{self.action.method} {self.action.url} answered {response.status_code}, "
                f"not one of {self.action.expect_status}: {response.text[:_BODY_SHOWN]}"
            )
        return Done(f"{self.action.method} {self.action.url}: {response.status_code}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        raise IrreversibleError(f"{self.action.method} {self.action.url} can't be undone")
