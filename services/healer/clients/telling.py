"""webhook.post and notify.send: other systems and people are told, each once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from services.healer.clients.outgoing import declared_host
from services.healer.clients.secrets import read_secret
from shared.packs.actions.calls import WebhookPost
from shared.packs.actions.telling import NotifySend
from shared.webhooks import signed_headers


@dataclass(frozen=True, slots=True)
class PostWebhook:
    """After a crash between sending and noting the answer it is sent again under the same id, signed anew."""

    context: Context
    action: WebhookPost

    @property
    def resource(self) -> str:
        return f"http:{self.action.url}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        """Checks that the host is declared and the secret is there."""
        read_secret(self.action.secret, os.environ)
        return {"host": declared_host("webhook.post", self.action.url, self.context.http_hosts)}

    def describe(self, seen: Facts) -> str:
        return f"POST {self.action.url}, signed"

    async def apply(self, seen: Facts) -> Done:
        body = json.dumps(self.action.body, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": self.context.key,
            **signed_headers(read_secret(self.action.secret, os.environ), self.context.key, int(time.time()), body),
        }
        try:
            # no proxies and no redirects: both would reach hosts that nobody declared
            async with httpx.AsyncClient(timeout=self.context.timeout_s, trust_env=False) as client:
                response = await client.post(self.action.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ActuatorError(f"POST {self.action.url} failed: {type(error).__name__}") from error
        if response.status_code not in self.action.expect_status:
            raise ActuatorError(
                f"POST {self.action.url} answered {response.status_code}, not one of {self.action.expect_status}"
            )
        return Done(f"POST {self.action.url}: {response.status_code}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        raise IrreversibleError(f"what POST {self.action.url} set off can't be undone")


@dataclass(frozen=True, slots=True)
class SendNotice:
    """Hands a message to the gateway, which delivers it; repeated, it is the same message."""

    context: Context
    action: NotifySend

    @property
    def resource(self) -> str:
        return f"notice:{self.context.key}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        return {}

    def describe(self, seen: Facts) -> str:
        return f"tell {self.action.channel}: {self.action.message}"

    async def apply(self, seen: Facts) -> Done:
        await self.context.tell(self.action)
        return Done(f"{self.action.channel} will be told")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("what was said stays said", changed=False)
