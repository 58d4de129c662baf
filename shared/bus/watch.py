"""Follows the last values of state subjects: all of them at once, then every change.

A pull on a consumer that the server has forgotten waits in silence, so each fetch asks for heartbeats: none heard
means the consumer is gone, and a new one starts with all last values again (they are last values: seeing one twice
is harmless).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError

from shared import telemetry
from shared.bus.decode import decode
from shared.bus.streams import STATE
from shared.contracts.base import Event

log = structlog.get_logger()

FETCH_S = 5.0
HEARTBEAT_S = 1.0
BATCH = 64


class Watch[E: Event]:
    """Feeds `seen(key, event)` with the last value of each `<contract>.<key>`."""

    def __init__(
        self,
        service: str,
        contract: type[E],
        seen: Callable[[str, E | None], Awaitable[None]],
        inbox_prefix: bytes,
    ) -> None:
        self._service = service
        self.contract = contract
        self._seen = seen
        self._inbox_prefix = inbox_prefix
        self.caught_up = asyncio.Event()

    async def run(self, jetstream: JetStreamContext) -> None:
        """Follows for ever, over restarts of the server."""
        while True:
            try:
                await self._follow(jetstream)
            except (NatsError, TimeoutError, OSError) as error:
                log.warning("state watch starts again", subject=self.contract.SUBJECT, error=str(error))
                await asyncio.sleep(0.2)

    async def _follow(self, jetstream: JetStreamContext) -> None:
        name = f"{self._service}-watch-{uuid4().hex[:12]}"
        config = ConsumerConfig(
            name=name,
            filter_subject=f"{self.contract.SUBJECT}.>",
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=30,
            mem_storage=True,
        )
        info = await jetstream.add_consumer(STATE, config=config)
        missing = info.num_pending or 0
        subscription = await jetstream.pull_subscribe_bind(consumer=name, stream=STATE, inbox_prefix=self._inbox_prefix)
        try:
            if not missing:
                self.caught_up.set()
            while True:
                try:
                    # Never more than there is: a fetch that has got one waits for the rest of its batch.
                    batch = min(max(missing, 1), BATCH)
                    messages = await subscription.fetch(batch=batch, timeout=FETCH_S, heartbeat=HEARTBEAT_S)
                except FetchTimeoutError:
                    continue
                for message in messages:
                    await self._take(message)
                missing -= len(messages)
                if missing <= 0:
                    self.caught_up.set()
        finally:
            await subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        key = message.subject.rpartition(".")[2]
        metadata = message.metadata
        try:
            event = decode(
                self.contract,
                message.data,
                message.subject,
                stream=STATE,
                sequence=metadata.sequence.stream,
                stored_at=metadata.timestamp,
            )
            await self._seen(key, event)
        except Exception as error:  # noqa: BLE001 - one unreadable value must not hide the others
            telemetry.EVENTS_FAILED.labels(self._service, self.contract.SUBJECT).inc()
            log.error("state value ignored; the one before stays", subject=message.subject, error=str(error))
