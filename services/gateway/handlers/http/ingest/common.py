"""What all protocols of reports share: bodies within bounds, and publishing that is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from fastapi import Request
from nats.errors import Error as NatsError
from starlette.requests import ClientDisconnect

from services.gateway.domain.ingest.compression import ENCODINGS
from services.gateway.domain.ingest.errors import ReportError, TooLargeError, UnsupportedError
from services.gateway.handlers.http.deps import Deps
from services.gateway.handlers.http.problems import ApiError, too_large
from shared import telemetry
from shared.bus.streams import MAX_MESSAGE_BYTES
from shared.contracts.base import Event
from shared.outbox import Outgoing, outgoing

log = structlog.get_logger()

REPORT_PATHS = ("/api/v1/", "/api/v2/", "/v1/")
"""Where reports come in: larger bodies are let in there than elsewhere."""
MAX_REPORT_BYTES = 8 * 1024**2
"""As sent. Prometheus sends about 0.1 MiB at once, OpenTelemetry's collector about 1."""
MAX_INFLATED_BYTES = 32 * 1024**2
ROOM_WAIT_S = 5.0
BODY_WAIT_S = 30.0
RETRY_AFTER_S = 5
PUBLISHED_AT_ONCE = 256
HEADROOM_BYTES = 4_096
"""What a message's headers may take of its size."""


@asynccontextmanager
async def room(deps: Deps) -> AsyncIterator[None]:
    """One of the places for reports in work. Enter it before reading the body: who waits costs nothing. What can't
    be used is refused in the protocol's way.

    Raises:
        ApiError: 503, none came free in time; or the refusal of a report that raised ReportError.
    """
    try:
        async with asyncio.timeout(ROOM_WAIT_S):
            await deps.reports.acquire()
    except TimeoutError:
        remedy = "try again later; add replicas of the gateway if it lasts"
        raise _later("busy", "too many reports are being worked on", remedy) from None
    try:
        yield
    except ReportError as error:
        raise refusal(error) from None
    finally:
        deps.reports.release()


async def read_body(
    request: Request,
    encodings: Sequence[str] = ("identity", "gzip", "deflate"),
    most_bytes: int = MAX_INFLATED_BYTES,
) -> bytes:
    """The body, decompressed. `encodings` are those its protocol allows; a missing header means the first.

    Raises:
        ApiError: 408, 413 or 415.
        ReportError: it is not what Content-Encoding says.
    """
    named = request.headers.get("content-encoding", "").strip().lower() or encodings[0]
    if named not in encodings:
        said = f"Content-Encoding {named[:40]!r} is not taken here"
        raise ApiError(
            415,
            "unsupported-encoding",
            said,
            f"use {' or '.join(encodings)}",
            headers={"Accept-Encoding": encodings[0]},
        )
    body = await _read(request)
    if len(body) < HEADROOM_BYTES:  # not worth a thread
        return ENCODINGS[named](body, most_bytes)
    return await asyncio.to_thread(ENCODINGS[named], body, most_bytes)


async def _read(request: Request) -> bytes:
    """Bodies without a length are counted as they come."""
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            async for part in request.stream():
                length += len(part)
                if length > MAX_REPORT_BYTES:
                    raise too_large(MAX_REPORT_BYTES)
                parts.append(part)
    except TimeoutError:
        raise ApiError(408, "too-slow", f"the body took longer than {BODY_WAIT_S:g} s", "send less at once") from None
    except ClientDisconnect:
        raise ApiError(400, "torn", "the connection ended before the body did", "send it again") from None
    return b"".join(parts)


def refusal(error: ReportError) -> ApiError:
    """A report that can't be used, as the answer to its sender. None of these is to be sent again."""
    match error:
        case TooLargeError():
            return ApiError(413, "too-large", str(error), error.remedy)
        case UnsupportedError():
            return ApiError(415, "unsupported", str(error), error.remedy)
    return ApiError(400, "malformed-report", str(error), error.remedy)


async def publish(deps: Deps, events: Sequence[Event], acked: Callable[[int], None] = lambda _place: None) -> None:
    """Publishes all events, in their order and in flight together, and returns once the stream has each of them.

    `acked` is told the place of each event that is safe, also when others are not. Publishing again what was already
    stored is harmless within the stream's window when the event's id follows from its content: give it such an id.

    Raises:
        ApiError: 413, an event is larger than a message may be: nothing was published. 503 with Retry-After, the
            stream did not take all of them.
    """
    messages = [outgoing(event, deps.bus.service) for event in events]
    for message in messages:
        if len(message.body) > MAX_MESSAGE_BYTES - HEADROOM_BYTES:
            said = f"an event for {message.subject} takes {len(message.body)} bytes: more than a message may have"
            raise ApiError(413, "too-large", said, "send it in smaller parts")
    for first in range(0, len(messages), PUBLISHED_AT_ONCE):
        if not deps.bus.connected:
            raise _away("NATS is not connected")
        part = messages[first : first + PUBLISHED_AT_ONCE]
        failures = await asyncio.gather(*(_publish(deps, message) for message in part))
        for place, failure in enumerate(failures, first):
            if failure is None:
                acked(place)
        lost = [failure for failure in failures if failure is not None]
        if lost:
            log.warning("reports not stored; their sender was told to try again", lost=len(lost), error=lost[0])
            raise _away(lost[0])


async def _publish(deps: Deps, message: Outgoing) -> str | None:
    """None once it is stored, else what went wrong."""
    try:
        await deps.bus.publish_outgoing(message)
    except (NatsError, TimeoutError, OSError) as error:
        return str(error) or type(error).__name__
    return None


def _away(why: str) -> ApiError:
    remedy = "send it again later; what was stored already is not counted twice"
    return _later("not-stored", f"the bus did not take the report ({why})", remedy)


def _later(kind: str, said: str, remedy: str) -> ApiError:
    telemetry.REPORTS_PUT_OFF.labels(kind).inc()
    return ApiError(503, kind, said, remedy, headers={"Retry-After": str(RETRY_AFTER_S)})
