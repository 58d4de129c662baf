"""What becomes of a message: acknowledged, tried again later, or set aside with the reason.

FastStream's own policies drop a message whose handler raised, and a message that can't be decoded never reaches a
handler: both are decided here. A broken dependency (no database, no bus) is nobody's fault: such tries don't count
towards setting a message aside.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import asyncpg
import structlog
from faststream import BaseMiddleware, ContextRepo, StreamMessage
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared import telemetry
from shared.bus.decode import UndecodableError

log = structlog.get_logger()

MAX_FAILURES = 5
RETRY_DELAYS_S = (0.1, 0.5, 2.0, 5.0, 10.0)
_REMEMBERED = 10_000
TRANSIENT_STATES = ("08", "40", "53", "55P03", "57")
"""SQLSTATE classes that pass by themselves: connection, serialisation, resources, locks, shutdown and starting up."""


def is_infrastructure(error: BaseException) -> bool:
    """True when the failure says nothing about the message: the database or the bus was away."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "").startswith(TRANSIENT_STATES)
    if isinstance(error, asyncpg.InterfaceError):
        return True
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        transient = isinstance(error, OperationalError | InterfaceError) or state.startswith(TRANSIENT_STATES)
        return error.connection_invalidated or transient
    return isinstance(error, OSError | PoolTimeoutError | NatsError | TimeoutError)


@dataclass
class Attempts:
    """How often each message has failed here; bounded, and empty after a restart: then it is simply tried again."""

    failures: OrderedDict[tuple[str, int], int] = field(default_factory=OrderedDict)

    def failed(self, consumer: str, sequence: int) -> int:
        key = (consumer, sequence)
        count = self.failures.pop(key, 0) + 1
        self.failures[key] = count
        if len(self.failures) > _REMEMBERED:
            self.failures.popitem(last=False)
        return count

    def handled(self, consumer: str, sequence: int) -> None:
        self.failures.pop((consumer, sequence), None)


@dataclass
class Route:
    """One handler of one consumer."""

    service: str
    handler: str
    contract: str
    attempts: int = 0
    """Messages tried, whatever came of them: this is what liveness looks at."""


Bury = Callable[[Route, Msg, str], Awaitable[None]]


class Delivery:
    """Makes the middleware of each message; `routes` maps a consumer's name to its handler."""

    def __init__(self, routes: dict[str, Route], bury: Bury) -> None:
        self.routes = routes
        self.bury = bury
        self.attempts = Attempts()

    def __call__(self, msg: Msg | None, /, *, context: ContextRepo) -> _Delivery:
        return _Delivery(self, msg, context=context)


class _Delivery(BaseMiddleware[Any, Any]):
    def __init__(self, delivery: Delivery, msg: Msg | None, *, context: ContextRepo) -> None:
        super().__init__(msg, context=context)
        self._delivery = delivery

    @property
    def _from_stream(self) -> bool:
        return isinstance(self.msg, Msg) and self.msg.reply.startswith("$JS.ACK.")

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> object:
        """Continues the publisher's trace."""
        parent = propagate.extract(msg.headers)
        name = f"handle {msg.raw_message.subject.rpartition('.')[0]}"
        with telemetry.tracer.start_as_current_span(name, context=parent, kind=SpanKind.CONSUMER) as span:
            try:
                return await call_next(msg)
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, str(error)))
                raise

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if not self._from_stream:
            return False
        if exc_val is not None and not isinstance(exc_val, Exception):
            return False  # cancelled: the server delivers it again
        message: Msg = self.msg
        try:
            await self._settle(message, exc_val)
        except (NatsError, OSError) as error:
            log.warning("message not acknowledged; it will come again", subject=message.subject, error=str(error))
        return True

    async def _settle(self, message: Msg, error: Exception | None) -> None:
        metadata = message.metadata
        route = self._delivery.routes[metadata.consumer]
        route.attempts += 1
        if error is None:
            self._delivery.attempts.handled(metadata.consumer, metadata.sequence.stream)
            await message.ack()
            return
        telemetry.EVENTS_FAILED.labels(route.service, route.contract).inc()
        if is_infrastructure(error):
            log.warning("handler could not work; trying again", handler=route.handler, error=str(error))
            await message.nak(delay=RETRY_DELAYS_S[1])
            return
        failures = self._delivery.attempts.failed(metadata.consumer, metadata.sequence.stream)
        final = isinstance(error, UndecodableError) or failures >= MAX_FAILURES
        reason = str(error) if isinstance(error, UndecodableError) else f"{type(error).__name__}: {error}"
        log.error(
            "message set aside" if final else "handler failed; trying again",
            handler=route.handler,
            subject=message.subject,
            failures=failures,
            error=reason,
            exc_info=None if isinstance(error, UndecodableError) else error,
        )
        if final:
            await self._delivery.bury(route, message, reason)
            await message.term()
        else:
            await message.nak(delay=RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S)) - 1])
