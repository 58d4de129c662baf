"""Readers of the live stream: nobody holds up the others, and nobody's queue grows without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from services.gateway.handlers.feed import MAX_LISTENERS, QUEUE_SIZE, Entry, Feed, FeedFullError, Listener
from services.gateway.handlers.http import live
from services.gateway.handlers.http.live import Stream
from shared.outbox import Units


def entry(seq: int) -> Entry:
    return Entry(seq, "detector.incident.v1", {"n": seq})


class OneListener:
    """A feed that gives out one listener and knows of no past."""

    def __init__(self) -> None:
        self.listener = Listener()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[tuple[Listener, int]]:
        yield self.listener, 0


def test_a_reader_that_falls_behind_gets_what_it_has_and_then_the_end() -> None:
    listener = Listener()
    taken = [listener.offer(entry(number)) for number in range(QUEUE_SIZE + 1)]
    assert taken == [True] * QUEUE_SIZE + [False]
    got = [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]
    assert got[-1] is None
    assert [one.seq for one in got[:-1] if one] == list(range(QUEUE_SIZE))


async def test_a_full_feed_takes_no_more_readers() -> None:
    feed = Feed(cast(Units, None))
    feed._listeners = {Listener() for _ in range(MAX_LISTENERS)}
    with pytest.raises(FeedFullError):
        async with feed.listen():
            pytest.fail("let in")


async def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND_TIMEOUT_S", 0.05)
    feed = OneListener()
    feed.listener.offer(entry(1))
    sent: list[str] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))
        if b"data:" in cast(bytes, message.get("body", b"")):
            await asyncio.Event().wait()  # the client's window is full and stays so

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async with asyncio.timeout(5):
        await Stream(cast(Feed, feed), None)({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]


async def test_a_quiet_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)
    feed = OneListener()
    bodies: list[bytes] = []
    beating = asyncio.Event()

    async def send(message: dict[str, object]) -> None:
        bodies.append(cast(bytes, message.get("body", b"")))
        if b": still here" in bodies[-1]:
            beating.set()

    async def receive() -> dict[str, object]:
        await beating.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(5):
        await Stream(cast(Feed, feed), None)({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert any(body.startswith(b"retry: ") or b"retry: " in body for body in bodies)
