"""nats.request: one request to a subject that the component allows, named so that a repetition can be dropped."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from services.healer.clients.secrets import read_secret
from services.healer.domain.subjects import allows
from shared.packs.actions.calls import NatsRequest
from shared.packs.component import NatsAccess

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RequestNats:
    """After a crash between sending and noting the reply the request is repeated under the same Idempotency-Key."""

    context: Context
    action: NatsRequest

    @property
    def resource(self) -> str:
        return f"nats:{self.action.subject}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        """Only checks that the request is allowed."""
        self._access()
        return {"subject": self.action.subject}

    def _access(self) -> NatsAccess:
        access = self.context.target.nats
        if access is None:
            raise ActuatorError(
                f"component {self.context.component} takes no requests: add `nats: {{url, subjects}}` to it"
            )
        if not any(allows(pattern, self.action.subject) for pattern in access.subjects):
            raise ActuatorError(
                f"a request to {self.action.subject!r} is not allowed: "
                f"add it to `nats.subjects` of {self.context.component}"
            )
        return access

    def describe(self, seen: Facts) -> str:
        return f"request {self.action.subject}"

    async def apply(self, seen: Facts) -> Done:
        access = self._access()
        reply = await self._ask(access)
        said = reply.data.decode(errors="replace")
        if problem := (reply.headers or {}).get("Nats-Service-Error"):
            raise ActuatorError(f"{self.action.subject} refused: {problem[:_SHOWN]}")
        if not _as_expected(said, self.action.expect):
            raise ActuatorError(f"{self.action.subject} replied otherwise than `expect` says: {said[:_SHOWN]!r}")
        return Done(f"requested {self.action.subject}: {len(reply.data)} bytes in reply")

    async def _ask(self, access: NatsAccess) -> Msg:
        payload = self.action.payload
        body = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        password = read_secret(access.password, os.environ) if access.password else None
        token = read_secret(access.token, os.environ) if access.token else None
        client = Client()
        try:
            await client.connect(
                access.url,
                user=access.user,
                password=password,
                token=token,
                connect_timeout=math.ceil(self.context.timeout_s),
                allow_reconnect=False,
                max_reconnect_attempts=1,  # for ever otherwise, even the first time
                reconnect_time_wait=0,
                name="homeostat-healer-action",
                error_cb=_ignore,
            )
            headers = {"Idempotency-Key": self.context.key}
            return await client.request(self.action.subject, body, timeout=self.context.timeout_s, headers=headers)
        except (NatsError, OSError, TimeoutError) as error:
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ActuatorError(f"request to {self.action.subject} at {access.url} failed: {what}") from error
        finally:
            with suppress(NatsError, OSError, TimeoutError):
                await client.close()

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        raise IrreversibleError(f"a request to {self.action.subject} can't be undone")


async def _ignore(_error: Exception) -> None:
    """What happened is raised where it was asked for as well."""


def _as_expected(said: str, expected: str | dict[str, str | int | float | bool] | None) -> bool:
    if expected is None:
        return True
    if isinstance(expected, str):
        return said.strip() == expected.strip()
    try:
        found = json.loads(said)
    except ValueError:
        return False
    return isinstance(found, dict) and all(name in found and found[name] == want for name, want in expected.items())
