"""The live stream: tails the timeline for everybody who listens, and lets go of those who can't keep up.

The timeline is the source rather than this replica's own events, because each event is handled by one replica only
and a listener may be at another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from services.gateway.store import timeline
from services.gateway.store.tables import TimelineRow
from shared import telemetry
from shared.outbox import Units

POLL_S = 0.25
BATCH = 500
QUEUE_SIZE = 1_000
MAX_LISTENERS = 100


class FeedFullError(Exception):
    """No more listeners are taken."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the timeline, as listeners get it."""

    seq: int
    subject: str
    body: dict[str, JsonValue]

    @classmethod
    def of(cls, row: TimelineRow) -> Entry:
        return cls(row.seq, row.subject, row.body)


@dataclass(eq=False)
class Listener:
    """One reader's queue; None in it says that the stream has ended for this reader."""

    queue: asyncio.Queue[Entry | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_SIZE + 1))

    def offer(self, entry: Entry) -> bool:
        """False when the reader is too far behind: its stream then ends after what it has."""
        if self.queue.qsize() >= QUEUE_SIZE:
            self.queue.put_nowait(None)
            return False
        self.queue.put_nowait(entry)
        return True


class Feed:
    """Reads the timeline while anybody listens."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()
        self._seq = 0

    async def run(self) -> None:
        """Tails for ever; asks nothing of the database while nobody listens."""
        while True:
            await self._wanted.wait()
            await self._pass_on()
            await asyncio.sleep(POLL_S)

    async def _pass_on(self) -> None:
        while True:
            async with self._units.begin() as unit:
                rows = await timeline.entries_after(unit.session, self._seq, BATCH)
            for row in rows:
                self._seq = row.seq
                for listener in [one for one in self._listeners if not one.offer(Entry.of(row))]:
                    self._listeners.discard(listener)
                    telemetry.STREAM_CUT.inc()
            if len(rows) < BATCH:
                return

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[tuple[Listener, int]]:
        """A listener, and the number after which its entries begin.

        Raises:
            FeedFullError: there are too many already.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            raise FeedFullError
        listener = Listener()
        if not self._listeners:
            async with self._units.begin() as unit:
                # Looked up before listening begins; what comes between is passed on by the next round.
                self._seq = max(self._seq, await timeline.last_seq(unit.session))
        self._listeners.add(listener)
        telemetry.STREAM_LISTENERS.inc()
        self._wanted.set()
        try:
            yield listener, self._seq
        finally:
            telemetry.STREAM_LISTENERS.dec()
            self._listeners.discard(listener)
            if not self._listeners:
                self._wanted.clear()

    async def between(self, after: int, until: int) -> AsyncIterator[Entry]:
        """Recorded entries with numbers above `after`, up to `until`: what a returning reader has missed."""
        while after < until:
            async with self._units.begin() as unit:
                rows = await timeline.entries_after(unit.session, after, BATCH)
            for row in rows:
                if row.seq > until:
                    return
                yield Entry.of(row)
                after = row.seq
            if not rows:
                return

    def close(self) -> None:
        """Ends every stream: the service is stopping."""
        for listener in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                listener.queue.put_nowait(None)
        self._listeners.clear()
