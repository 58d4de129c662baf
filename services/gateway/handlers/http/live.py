"""The live stream of events (server-sent events), which can be taken up again where it broke off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.handlers.feed import Entry, Feed, FeedFullError, Listener
from services.gateway.handlers.http.deps import Viewer, Wired
from services.gateway.handlers.http.problems import ApiError

router = APIRouter(tags=["observe"])

HEARTBEAT_S = 10.0
SEND_TIMEOUT_S = 20.0
RETRY_MS = 2_000


class Stream(Response):
    """Sends lines until the client leaves, the feed ends, or the client has not taken anything for a while."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, after: int | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._feed.listen() as (listener, begins_after):
                leaving = asyncio.create_task(_until_gone(receive))
                sending = asyncio.create_task(self._send_all(send, listener, begins_after))
                try:
                    await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    leaving.cancel()
                    sending.cancel()
                    await asyncio.gather(leaving, sending, return_exceptions=True)
        except FeedFullError:
            await _full(scope, receive, send)

    async def _send_all(self, send: Send, listener: Listener, begins_after: int) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for chunk in self._chunks(listener, begins_after):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self, listener: Listener, begins_after: int) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RETRY_MS, comment="homeostat events")
        if self._after is not None:
            async for entry in self._feed.between(self._after, begins_after):
                yield _formatted(entry)
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    entry_or_end = await listener.queue.get()
            except TimeoutError:
                yield format_sse_event(comment="still here")
                continue
            if entry_or_end is None:
                return
            yield _formatted(entry_or_end)


def _formatted(entry: Entry) -> bytes:
    return format_sse_event(id=str(entry.seq), event=entry.subject, data_str=json.dumps(entry.body))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    response = Response("too many listeners: try again later\n", 503, {"Retry-After": "5"})
    await response(scope, receive, send)


@router.get(
    "/api/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events as they are recorded: `event` is the subject, `data` the body, `id` the place.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    deps: Wired,
    _bearer: Viewer,
    last_event_id: Annotated[
        str | None, Header(max_length=20, description="Goes on after this place: nothing is missed.")
    ] = None,
    after: Annotated[int | None, Query(ge=0, description="The same, for clients that can't send headers.")] = None,
) -> Response:
    """Follows all that happens. A reader that falls too far behind is cut off, and resumes where it was."""
    if last_event_id is not None:
        if not last_event_id.isdecimal():
            raise ApiError(400, "bad-place", f"Last-Event-ID {last_event_id!r} is not one of ours", "leave it out")
        after = int(last_event_id)
    return Stream(deps.feed, after)
