"""What becomes of a message: acknowledged, tried again later, or set aside with the reason.

A broken dependency (no database, no bus) is nobody's fault: such tries don't count towards setting a message aside.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog
from faststream import BaseMiddleware, StreamMessage
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from opentelemetry import propagate
from opentelemetry.trace import SpanKind
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


def is_conflict(error: BaseException) -> bool:
    """True when two transactions stood in each other's way (SQLSTATE class 40): trying again alone helps."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "").startswith("40")


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
    """Name of the durable."""
    contract: str
    attempts: int = 0
    """Messages tried, whatever came of them: this is what liveness looks at."""


Bury = Callable[[Route, Msg, str], Awaitable[None]]


@dataclass
class Delivery:
    """Settles messages. One for all consumers of a service."""

    bury: Bury
    attempts: Attempts = field(default_factory=Attempts)

    async def settle(self, route: Route, message: Msg, error: Exception | None) -> None:
        """Acknowledges a message, or has it delivered again later, or sets it aside.

        Raises:
            nats.errors.Error, OSError: the bus is away; the server delivers the message again.
        """
        sequence = message.metadata.sequence.stream
        route.attempts += 1
        if error is None:
            self.attempts.handled(route.handler, sequence)
            await message.ack()
            return
        telemetry.EVENTS_FAILED.labels(route.service, route.contract).inc()
        if is_infrastructure(error):
            log.warning("handler could not work; trying again", handler=route.handler, error=str(error))
            await message.nak(delay=RETRY_DELAYS_S[1])
            return
        failures = self.attempts.failed(route.handler, sequence)
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
            await self.bury(route, message, reason)
            await message.term()
        else:
            await message.nak(delay=RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S)) - 1])


class CommandTrace(BaseMiddleware[Any, Any]):
    """Continues the caller's trace in a command's handler."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> object:
        name = f"handle {msg.raw_message.subject}"
        parent = propagate.extract(msg.headers)
        with telemetry.tracer.start_as_current_span(name, context=parent, kind=SpanKind.CONSUMER):
            return await call_next(msg)
