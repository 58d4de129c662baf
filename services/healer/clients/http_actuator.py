"""http.call: one request to a host that the pack declares, named so that the receiver can drop a repetition."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from services.healer.clients.outgoing import declared_host
from services.healer.clients.secrets import read_secret
from shared.packs.actions.calls import HttpCall
from shared.packs.component import SecretRef

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
        """Only checks that the call is allowed and its secrets are there."""
        self._headers()
        return {"host": declared_host("http.call", self.action.url, self.context.http_hosts)}

    def describe(self, seen: Facts) -> str:
        return f"{self.action.method} {self.action.url}"

    async def apply(self, seen: Facts) -> Done:
        headers = self._headers()
        try:
            # no proxies and no redirects: both would reach hosts that nobody declared
            async with httpx.AsyncClient(timeout=self.context.timeout_s, trust_env=False) as client:
                response = await client.request(
                    self.action.method,
                    self.action.url,
                    headers={**headers, "Idempotency-Key": self.context.key},
                    json=self.action.body,
                )
        except httpx.HTTPError as error:
            raise ActuatorError(f"{self.action.method} {self.action.url} failed: {error!r}") from error
        if response.status_code not in self.action.expect_status:
            raise ActuatorError(
                f"{self.action.method} {self.action.url} answered {response.status_code}, "
                f"not one of {self.action.expect_status}: {self._without_secrets(response.text)[:_BODY_SHOWN]}"
            )
        return Done(f"{self.action.method} {self.action.url}: {response.status_code}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        raise IrreversibleError(f"{self.action.method} {self.action.url} can't be undone")

    def _headers(self) -> dict[str, str]:
        return {
            name: read_secret(value, os.environ) if isinstance(value, SecretRef) else value
            for name, value in self.action.headers.items()
        }

    def _without_secrets(self, answer: str) -> str:
        """A server may well repeat what it was sent."""
        for name, value in self._headers().items():
            if isinstance(self.action.headers[name], SecretRef):
                answer = answer.replace(value, "…")
        return answer
