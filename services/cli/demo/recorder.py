"""Follows what Homeostat does as any other system would: as a NATS client with its own, small permissions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from shared.contracts.base import CaseEvent
from shared.contracts.decider import Decision
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.healer import Outcome, RouteChanged, RunProgress
from shared.contracts.predictor import Prediction

log = structlog.get_logger()

FOLLOWED: tuple[type[CaseEvent], ...] = (Incident, Diagnosis, Decision, RunProgress, RouteChanged, Outcome, Prediction)
INBOX = b"_INBOX.publisher"
"""Where replies to other systems' user may go: nobody hears another's replies."""
E = TypeVar("E", bound=CaseEvent)


async def ignore_error(_error: Exception) -> None:
    """A server that is away is nothing to shout about: the client reconnects."""


@dataclass
class Recorder:
    """Everything heard since `start`, in the order it was heard."""

    on_event: Callable[[CaseEvent], None] = lambda _event: None
    events: list[CaseEvent] = field(default_factory=list)
    _client: Client | None = None
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, url: str) -> None:
        """Connects to `url` (with user and password in it) and subscribes."""
        self._client = await nats.connect(url, max_reconnect_attempts=-1, inbox_prefix=INBOX, error_cb=ignore_error)
        for contract in FOLLOWED:
            await self._client.subscribe(f"{contract.SUBJECT}.*", cb=self._taker(contract))
        await self._client.flush()

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()

    def of(self, kind: type[E], since: datetime) -> Iterator[E]:
        """Events of one kind that happened at or after `since`."""
        return (event for event in self.events if isinstance(event, kind) and event.at >= since)

    async def wait_for(self, condition: Callable[[], bool], within_s: float) -> bool:
        """True as soon as the condition holds; looked at whenever something is heard, and every second."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not condition():
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            self._heard.clear()
            try:
                async with asyncio.timeout(min(1.0, left_s)):
                    await self._heard.wait()
            except TimeoutError:
                continue
        return True

    def _taker(self, contract: type[CaseEvent]) -> Callable[[Msg], asyncio.Future[None]]:
        async def take(message: Msg) -> None:
            try:
                event = contract.model_validate_json(message.data)
            except ValidationError as error:
                log.warning("event not understood", subject=message.subject, error=str(error))
                return
            self.events.append(event)
            self.on_event(event)
            self._heard.set()

        return take  # type: ignore[return-value]
