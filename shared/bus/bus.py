"""A service's side of the bus: handlers of events, commands, watches of state, and publishing.

Commands come through FastStream, events through pulls of our own (`consume`); the delivery rules are in `delivery`,
the unit of work in `shared.outbox`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import nats
import structlog
from faststream.nats import NatsBroker, NatsMessage
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from opentelemetry import propagate
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError

from shared import telemetry
from shared.bus import dlq
from shared.bus.consume import HANDLE_LIMIT_S, Consumer
from shared.bus.decode import decode, explain
from shared.bus.delivery import CommandTrace, Delivery, Route, is_conflict
from shared.bus.stored import stored
from shared.bus.streams import EVENTS, INGEST
from shared.bus.watch import Watch
from shared.contracts.base import Event
from shared.outbox import Outgoing, Unit, Units, outgoing

log = structlog.get_logger()

PUBLISH_TIMEOUT_S = 5.0
RECONNECT_S = 0.1
STUCK_S = 60.0
LAG_S = 5.0
TRIES = 3
"""Of a command that stands in another's way."""


class BusRequestError(Exception):
    """A command got no good answer; the text is the reason for a person."""


class CommandRefusedError(Exception):
    """Raised by a command's handler: the caller gets the text, nobody gets a traceback."""


def server_url(url: str, user: str | None, password: str | None) -> str:
    """`nats://host` with credentials in it."""
    if user is None or password is None:
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


@dataclass(frozen=True, slots=True)
class Command:
    """One request that a service answers."""

    verb: str
    request: type[BaseModel]
    handler: Callable[[Any, Unit], Awaitable[BaseModel]]


class Bus:
    """Everything a service says and hears. Register first, then `start`."""

    def __init__(self, service: str, url: str, password: str | None, units: Units) -> None:
        self.service = service
        self.routes: dict[str, Route] = {}
        self._units = units
        self._inbox_prefix = f"_INBOX.{service}".encode()
        self._pull_prefix = self._inbox_prefix + b"."  # nats-py puts no dot before the unique part of a pull's inbox
        self._consumers: dict[str, Consumer] = {}
        self._delivery = Delivery(self._bury)
        self.commands: list[Command] = []
        self.watches: list[Watch[Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lag: dict[str, tuple[int, float]] = {}
        self.connected = False
        self.broker = NatsBroker(
            server_url(url, service, password),
            name=f"homeostat-{service}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type]  # seconds; nats-py takes fractions
            connect_timeout=5,
            inbox_prefix=self._inbox_prefix,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            error_cb=self._errored,
            middlewares=[CommandTrace],
            logger=None,
        )
        self.answer("dlq-replay", dlq.Replay, self._replay)

    # ---- registering

    def on[E: Event](self, contract: type[E], handler: Callable[[E, Unit], Awaitable[None]]) -> None:
        """Handles every `contract` event once: its writes, its own events and the inbox are one transaction, which
        events that came together share.

        Redelivery may reorder: compare revisions.
        """
        stream = INGEST if contract.SUBJECT.startswith("ingest.") else EVENTS
        pattern = f"{contract.SUBJECT}.*.*" if stream == INGEST else f"{contract.SUBJECT}.*"
        durable = f"{self.service}-{contract.SUBJECT.replace('.', '-')}"
        route = self.routes[durable] = Route(self.service, durable, contract.SUBJECT)
        self._consumers[durable] = Consumer(route, contract, handler, stream, pattern, self._units, self._delivery)

    def watch[E: Event](self, contract: type[E], seen: Callable[[str, E | None], Awaitable[None]]) -> None:
        """Keeps up with the last value of every subject of a STATE contract."""
        self.watches.append(Watch(self.service, contract, seen, self._pull_prefix))

    def answer[R: BaseModel](
        self, verb: str, request: type[R], handler: Callable[[R, Unit], Awaitable[BaseModel]]
    ) -> None:
        """Answers `cmd.<service>.<verb>`; one replica gets each request."""

        async def reply(message: NatsMessage) -> None:
            raw: Msg = message.raw_message
            error = ""
            body = b"{}"
            try:
                parsed = request.model_validate_json(raw.data or b"{}")
                body = await self._reply(handler, parsed)
            except ValidationError as problem:
                error = f"request to {raw.subject} is not a {request.__name__}: {explain(problem)}"
            except CommandRefusedError as refused:
                error = str(refused)
            except Exception as problem:
                log.exception("command failed", verb=verb)
                error = f"{self.service} could not answer {verb}: {type(problem).__name__}: {problem}"
            if raw.reply:
                headers = {"Homeostat-Error": " ".join(error.split())} if error else None
                await self.broker.connection.publish(raw.reply, body, headers=headers)

        self.commands.append(Command(verb, request, handler))
        self.broker.subscriber(
            f"cmd.{self.service}.{verb}", queue=self.service, no_reply=True, title=f"{self.service}: {verb}"
        )(reply)

    async def _reply[R: BaseModel](self, handler: Callable[[R, Unit], Awaitable[BaseModel]], request: R) -> bytes:
        for _ in range(TRIES - 1):
            try:
                return await self._reply_once(handler, request)
            except DBAPIError as error:
                if not is_conflict(error):
                    raise
        return await self._reply_once(handler, request)

    async def _reply_once[R: BaseModel](self, handler: Callable[[R, Unit], Awaitable[BaseModel]], request: R) -> bytes:
        async with asyncio.timeout(HANDLE_LIMIT_S), self._units.begin() as unit:
            return (await handler(request, unit)).model_dump_json().encode()

    # ---- saying

    @property
    def jetstream(self) -> JetStreamContext:
        return self.broker.connection.jetstream()

    @property
    def inbox_prefix(self) -> bytes:
        return self._inbox_prefix

    async def publish(self, event: Event) -> None:
        """Straight to the stream, acknowledged. For telemetry; state and decisions go through a unit's `emit`."""
        await self.publish_outgoing(outgoing(event, self.service))

    async def publish_outgoing(self, message: Outgoing) -> None:
        await self.jetstream.publish(message.subject, message.body, headers=message.headers, timeout=PUBLISH_TIMEOUT_S)

    async def request[T: BaseModel](
        self, service: str, verb: str, body: BaseModel, reply: type[T], timeout_s: float = 5.0
    ) -> T:
        """Asks another service.

        Raises:
            BusRequestError: no replica of it is there, none answered in time, or it refused.
        """
        subject = f"cmd.{service}.{verb}"
        headers: dict[str, str] = {}
        propagate.inject(headers)
        try:
            message = await self.broker.connection.request(
                subject, body.model_dump_json().encode(), timeout=timeout_s, headers=headers or None
            )
        except NoRespondersError:
            raise BusRequestError(f"the {service} is not running: nobody answers {subject}") from None
        except (TimeoutError, NatsError) as error:
            raise BusRequestError(f"the {service} did not answer {verb} within {timeout_s:g} s ({error})") from None
        if refused := (message.headers or {}).get("Homeostat-Error"):
            raise BusRequestError(refused)
        return reply.model_validate_json(message.data)

    def stored(self, stream: str, subjects: Sequence[str], since: datetime, until: datetime) -> AsyncIterator[Msg]:
        """Messages of `subjects` that were stored in [since, until], oldest first; see `shared.bus.stored`."""
        return stored(self.broker.connection, self.service, stream, subjects, since, until)

    # ---- life

    async def start(self) -> None:
        """Connects, reads all state, then takes events."""
        await self.broker.connect()
        self.connected = True
        for watch in self.watches:
            self._spawn(watch.run(self.jetstream), "watch")
        for watch in self.watches:
            await watch.caught_up.wait()
        await self.broker.start()
        await self.broker.connection.flush()  # the server knows now what is answered here: others may ask
        for durable, consumer in self._consumers.items():
            self._spawn(consumer.run(self.broker.connection, self._inbox_prefix.decode()), durable)
        self._spawn(self._mind_lag(), "lag")

    async def stop(self) -> None:
        """Takes no more, finishes what is in hand, disconnects."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.connected = False  # before it is so: a connection that is closed on purpose is not lost
        await self.broker.stop()

    def stuck(self) -> list[str]:
        """Consumers with messages waiting and none tried for a while: the sign of a silent stall."""
        now = time.monotonic()
        return [name for name, (_tried, since) in self._lag.items() if now - since > STUCK_S]

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"{self.service}-{name}"))

    async def _mind_lag(self) -> None:
        while True:
            await asyncio.sleep(LAG_S)
            try:
                for durable, consumer in self._consumers.items():
                    info = await self.jetstream.consumer_info(consumer.stream, durable)
                    self._note_lag(durable, (info.num_pending or 0) + (info.num_ack_pending or 0))
            except (NatsError, TimeoutError, OSError) as error:  # a deleted consumer is made again by its own loop
                log.warning("can't look at consumers", error=str(error))

    def _note_lag(self, durable: str, waiting: int) -> None:
        telemetry.CONSUMER_LAG.labels(self.service, durable).set(waiting)
        tried, since = self._lag.get(durable, (-1, 0.0))
        attempts = self.routes[durable].attempts
        if not waiting or attempts != tried:
            since = time.monotonic()
        self._lag[durable] = (attempts, since)

    # ---- dead letters

    async def _bury(self, route: Route, message: Msg, reason: str) -> None:
        await dlq.bury(self.jetstream, self.service, route.handler, message, reason)

    async def _replay(self, request: dlq.Replay, _unit: Unit) -> dlq.Replayed:
        """Handles a dead letter of this service again; it is forgotten only when that succeeds."""
        letter = await dlq.read(self.jetstream, request.sequence)
        if letter is None or letter.service != self.service:
            raise CommandRefusedError(f"the {self.service} has no dead letter {request.sequence}")
        consumer = self._consumers.get(letter.handler)
        if consumer is None:
            await self._publish_again(letter)
        else:
            try:
                event = decode(
                    consumer.contract,
                    letter.body,
                    letter.subject,
                    stream=letter.stream,
                    sequence=letter.stream_sequence,
                    stored_at=letter.stored_at or self._units.clock(),
                )
                await consumer.handle([event], [letter.headers])
            except Exception as error:
                raise CommandRefusedError(f"still can't be handled: {type(error).__name__}: {error}") from error
        await dlq.forget(self.jetstream, request.sequence)
        return dlq.Replayed(handled=True, reason=f"{letter.subject} handled by {letter.handler}")

    async def _publish_again(self, letter: dlq.DeadLetter) -> None:
        """Telemetry is handled in stream order, so it goes back to the end of its stream."""
        tokens = letter.subject.split(".")
        subject = ".".join(tokens[:3] + tokens[4:]) if len(tokens) == 5 else letter.subject
        await self.jetstream.publish(subject, letter.body, headers=letter.headers or None)

    # ---- the connection

    async def _disconnected(self) -> None:
        if self.connected:
            log.warning("connection to NATS lost; reconnecting")
        self.connected = False

    async def _reconnected(self) -> None:
        self.connected = True
        log.info("connected to NATS again")

    async def _errored(self, error: Exception) -> None:
        level = log.debug if isinstance(error, OSError) and not self.connected else log.warning
        level("NATS client error", error=str(error) or type(error).__name__)


async def connect_admin(url: str, user: str | None, password: str | None) -> Client:
    """A plain connection for provisioning and tools; fails at once when nobody listens."""
    return await nats.connect(
        server_url(url, user, password), allow_reconnect=False, connect_timeout=3, max_reconnect_attempts=0
    )
