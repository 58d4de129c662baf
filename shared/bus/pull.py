"""A standing pull on one consumer: messages as they come, in order, with a broken stream noticed.

`PullSubscription.fetch(n)` of nats-py holds a message back until its request expires (measured: up to the whole
time-out), and a forgotten consumer leaves it waiting in silence. This keeps requests open ahead of need, hears the
server's heartbeats and checks the consumer's numbering.
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

HEARTBEAT_S = 1.0
SILENCE_S = 3.5
EXPIRES_S = 30.0


class PullBrokenError(Exception):
    """The consumer is gone, silent, or a message was lost on the way: start again from the last one worked on."""


class Pull:
    """Use as a context manager; then `batch()` again and again."""

    def __init__(
        self, client: Client, stream: str, consumer: str, inbox: str, batch_size: int = 512, *, shared: bool = False
    ) -> None:
        """`shared`: others pull from the consumer too, or messages come again, so that its numbering has gaps here."""
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._inbox = inbox
        self._batch_size = batch_size
        self._shared = shared
        self._messages: asyncio.Queue[Msg | PullBrokenError] = asyncio.Queue()
        self._requested = 0
        self._sequence = 0
        self._heard_at = 0.0
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._heard_at = asyncio.get_running_loop().time()
        self._subscription = await self._client.subscribe(self._inbox, cb=self._receive)
        await self._ask()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    async def batch(self) -> list[Msg]:
        """One or more messages, as soon as there are any.

        Raises:
            PullBrokenError: see there.
        """
        messages = [await self._first()]
        while len(messages) < self._batch_size and not self._messages.empty():
            messages.append(self._checked(self._messages.get_nowait()))
        if self._requested <= self._batch_size // 2:
            await self._ask()
        return messages

    async def _first(self) -> Msg:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    return self._checked(await self._messages.get())
            except TimeoutError:
                silence_s = loop.time() - self._heard_at
                if silence_s > SILENCE_S:
                    raise PullBrokenError(f"{self._consumer}: nothing heard for {silence_s:.1f} s") from None

    def _checked(self, item: Msg | PullBrokenError) -> Msg:
        if isinstance(item, PullBrokenError):
            raise item
        if self._shared:
            return item
        sequence = item.metadata.sequence.consumer
        if sequence != self._sequence + 1:
            raise PullBrokenError(f"{self._consumer}: message {self._sequence + 1} was lost on the way")
        self._sequence = sequence
        return item

    async def _ask(self) -> None:
        request = {
            "batch": self._batch_size,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        self._requested += self._batch_size
        await self._client.publish(self._next, json.dumps(request).encode(), reply=self._inbox)

    async def _receive(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        status = (message.headers or {}).get("Status") if not message.data else None
        if status is None:
            self._requested -= 1
            self._messages.put_nowait(message)
        elif status in ("404", "408") or (status == "409" and self._is_end_of_request(message)):
            self._requested -= int((message.headers or {}).get("Nats-Pending-Messages", self._batch_size))
            if self._requested <= 0:  # at once: until there is a request, nothing comes
                await self._ask()
        elif status != "100":
            description = (message.headers or {}).get("Description", "")
            self._messages.put_nowait(PullBrokenError(f"{self._consumer}: {status} {description}"))

    @staticmethod
    def _is_end_of_request(message: Msg) -> bool:
        return "Batch Completed" in (message.headers or {}).get("Description", "")
