"""Feeds one handler with the events of a durable consumer: in batches that one transaction keeps.

Under load most of a handler's time went into beginning and committing. So whatever has come in meanwhile is handled
in one unit of work; at rest that is one event, with no delay. When the unit fails, its events are handled one by one,
so that only the one that can't be handled is tried again or set aside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode

from shared import telemetry
from shared.bus.decode import UndecodableError, decode
from shared.bus.delivery import Delivery, Route, is_conflict, is_infrastructure
from shared.bus.pull import Pull, PullBrokenError
from shared.contracts.base import CaseEvent, Event
from shared.outbox import Unit, Units

log = structlog.get_logger()

ACK_WAIT_S = 10.0
HANDLE_LIMIT_S = 8.0
"""A unit that takes longer is stopped before the server gives its messages to another replica."""
BATCH = 32
RETRY_S = 0.2

type Handled = tuple[Msg, Event]


class Consumer:
    """One durable of one service. Replicas share it: each message comes to one of them."""

    def __init__(
        self,
        route: Route,
        contract: type[Event],
        handler: Callable[[Any, Unit], Awaitable[None]],
        stream: str,
        pattern: str,
        units: Units,
        delivery: Delivery,
    ) -> None:
        self.route = route
        self.contract = contract
        self.handler = handler
        self.stream = stream
        self._pattern = pattern
        self._units = units
        self._delivery = delivery

    async def run(self, client: Client, inbox_prefix: str) -> None:
        """Takes events for ever, over restarts of the server; a consumer that was deleted is made again."""
        while True:
            try:
                await self.provide(client)
                inbox = f"{inbox_prefix}.pull.{uuid4().hex}"
                async with Pull(client, self.stream, self.route.handler, inbox, BATCH, shared=True) as pull:
                    while True:
                        await self._take(await pull.batch())
            except (PullBrokenError, NatsError, TimeoutError, OSError) as error:
                log.warning("consumer starts again", consumer=self.route.handler, error=str(error))
                await asyncio.sleep(RETRY_S)

    async def provide(self, client: Client) -> None:
        """Makes the durable unless it is there."""
        config = ConsumerConfig(
            durable_name=self.route.handler,
            filter_subject=self._pattern,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=1_000,
            deliver_policy=DeliverPolicy.ALL,
        )
        await client.jetstream().add_consumer(self.stream, config=config)

    async def _take(self, messages: Sequence[Msg]) -> None:
        readable: list[Handled] = []
        for message in messages:
            try:
                readable.append((message, self._decode(message)))
            except UndecodableError as error:
                await self._settle([message], error)
        if not readable:
            return
        async with self._units.lane:
            problem = await self._try(readable)
            if problem is None or len(readable) == 1 or _is_away(problem):
                await self._settle([message for message, _ in readable], problem)
                return
            log.info("batch taken apart", consumer=self.route.handler, events=len(readable), error=str(problem))
            for message, _ in readable:
                await message.in_progress()
            for one in readable:
                await self._settle([one[0]], await self._try([one]))

    async def _try(self, batch: Sequence[Handled]) -> Exception | None:
        try:
            await self.handle([event for _, event in batch], [message.headers for message, _ in batch])
        except Exception as error:  # noqa: BLE001 - what becomes of the messages depends on it
            return error
        return None

    async def handle(self, events: Sequence[Event], headers: Sequence[dict[str, str] | None]) -> None:
        """Handles these events in one unit, each at most once ever."""
        labels = (self.route.service, self.route.contract)
        async with asyncio.timeout(HANDLE_LIMIT_S), self._units.begin() as unit:
            new = await self._units.first_times(unit, [event.id for event in events], self.route.handler)
            telemetry.EVENTS_DUPLICATE.labels(*labels).inc(len(events) - len(new))
            for event, header in zip(events, headers, strict=True):
                if event.id in new:
                    new.discard(event.id)
                    await self._handle_one(event, header, unit)
        telemetry.EVENTS_HANDLED.labels(*labels).inc(len(events))

    async def _handle_one(self, event: Event, headers: dict[str, str] | None, unit: Unit) -> None:
        """Continues the publisher's trace."""
        case = {"case_id": str(event.case_id)} if isinstance(event, CaseEvent) else {}
        timer = telemetry.HANDLE_SECONDS.labels(self.route.service, self.route.contract).time()
        span = telemetry.tracer.start_as_current_span(
            f"handle {self.route.contract}", context=propagate.extract(headers or {}), kind=SpanKind.CONSUMER
        )
        with structlog.contextvars.bound_contextvars(**case), timer, span as current:
            try:
                await self.handler(event, unit)
                await unit.session.flush()
            except Exception as error:
                current.set_status(Status(StatusCode.ERROR, str(error)))
                raise

    async def _settle(self, messages: Sequence[Msg], problem: Exception | None) -> None:
        for message in messages:
            try:
                await self._delivery.settle(self.route, message, problem)
            except (NatsError, OSError) as error:
                log.warning("message not acknowledged; it will come again", subject=message.subject, error=str(error))

    def _decode(self, message: Msg) -> Event:
        metadata = message.metadata
        return decode(
            self.contract,
            message.data,
            message.subject,
            stream=metadata.stream,
            sequence=metadata.sequence.stream,
            stored_at=metadata.timestamp,
        )


def _is_away(problem: Exception) -> bool:
    """Taking a batch apart doesn't help against a database that is away; against a deadlock it does."""
    return is_infrastructure(problem) and not is_conflict(problem) and not isinstance(problem, TimeoutError)
