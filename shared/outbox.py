"""One unit of work = one transaction: a service's writes, the events they give rise to, and the inbox.

Events are written to the outbox with the state that they tell of; a relay publishes them after the commit, and
sweeps up what a crash left. Publishing twice is harmless: the stream drops a repeated `Nats-Msg-Id`, and the
consumer's inbox drops what comes after the stream's window.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from opentelemetry import propagate
from sqlalchemy import Table, Uuid, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared import telemetry
from shared.contracts.base import CaseEvent, Event

log = structlog.get_logger()

Clock = Callable[[], datetime]
RELAY_BATCH = 256
_FIRST_TIME = text(
    "insert into inbox (event_id, handler, received_at) select unnest(cast(:ids as uuid[])), :handler, :now "
    "on conflict do nothing returning event_id"
).columns(event_id=Uuid())
SWEEP_AGE_S = 2.0
"""Rows older than this were left by a crash: younger ones are on their way."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message ready to publish."""

    id: UUID
    subject: str
    body: bytes
    headers: dict[str, str]


def outgoing(event: Event, source: str) -> Outgoing:
    """The message of an event: plain JSON, with CloudEvents attributes and W3C trace context in the headers."""
    headers = {
        "Nats-Msg-Id": str(event.id),
        "ce-specversion": "1.0",
        "ce-id": str(event.id),
        "ce-source": f"homeostat/{source}",
        "ce-type": event.SUBJECT,
        "ce-time": event.at.isoformat(),
        "content-type": "application/json",
    }
    if isinstance(event, CaseEvent):
        with telemetry.case_span(f"emit {event.SUBJECT}", event.case_id):
            propagate.inject(headers)
    else:
        propagate.inject(headers)
    return Outgoing(event.id, event.subject, event.model_dump_json().encode(), headers)


@dataclass(slots=True)
class Unit:
    """What a handler works with. All of it is kept, or nothing."""

    session: AsyncSession
    now: datetime
    source: str
    sent: list[Outgoing] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Publishes `event` when this unit commits."""
        self.sent.append(outgoing(event, self.source))


class Relay:
    """Publishes committed events in order and forgets them once the stream has them."""

    def __init__(
        self, service: str, engine: AsyncEngine, outbox: Table, publish: Callable[[Outgoing], Awaitable[None]]
    ) -> None:
        self._service = service
        self._engine = engine
        self._outbox = outbox
        self._publish = publish
        self._queue: asyncio.Queue[Outgoing] = asyncio.Queue(maxsize=10_000)
        self._published: list[UUID] = []
        self._forget = asyncio.Event()

    def wake(self, messages: Sequence[Outgoing]) -> None:
        """Hands over what was just committed. When the queue is full the sweep will find it in the table."""
        for message in messages:
            try:
                self._queue.put_nowait(message)
            except asyncio.QueueFull:
                return

    async def run(self) -> None:
        """Publishes for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_committed())
            tasks.create_task(self._forget_published())
            tasks.create_task(self._sweep())

    async def _publish_committed(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < RELAY_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._publish_batch(batch)

    async def _publish_batch(self, batch: Sequence[Outgoing]) -> None:
        """What fails stays in the table for the sweep."""
        results = await asyncio.gather(*(self._publish(message) for message in batch), return_exceptions=True)
        for message, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                telemetry.OUTBOX_FAILED.labels(self._service).inc()
                log.warning("publish failed; the sweep will try again", subject=message.subject, error=str(result))
            else:
                telemetry.OUTBOX_PUBLISHED.labels(self._service).inc()
                self._published.append(message.id)
        self._forget.set()

    async def _forget_published(self) -> None:
        """Deletes in batches beside publishing, so that a publish never waits for a delete."""
        while True:
            await self._forget.wait()
            self._forget.clear()
            ids, self._published = self._published, []
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(delete(self._outbox).where(self._outbox.c.id.in_(ids)))
            except Exception as error:  # noqa: BLE001 - whatever it was, the rows are still there: swept again
                log.warning("outbox rows not deleted; the sweep will publish them again", error=str(error))

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep_once(SWEEP_AGE_S)
            except Exception as error:  # noqa: BLE001 - the database is away: try again
                log.warning("outbox sweep failed", error=str(error))
            await asyncio.sleep(SWEEP_AGE_S)

    async def sweep_once(self, age_s: float) -> int:
        """Publishes rows older than `age_s`; returns how many there were. One replica sweeps a row at a time."""
        table = self._outbox
        async with self._engine.begin() as connection:
            due = (
                select(table)
                .where(table.c.created_at < func.now() - timedelta(seconds=age_s))
                .order_by(table.c.position)
                .limit(RELAY_BATCH)
                .with_for_update(skip_locked=True)
            )
            rows = (await connection.execute(due)).all()
            published = []
            for row in rows:
                await self._publish(Outgoing(row.id, row.subject, row.body, dict(row.headers)))
                published.append(row.id)
            if published:
                await connection.execute(delete(table).where(table.c.id.in_(published)))
        return len(rows)


class Units:
    """Begins units of work for one service."""

    def __init__(self, service: str, engine: AsyncEngine, tables: dict[str, Table], clock: Clock) -> None:
        self.service = service
        self.clock = clock
        self._engine = engine
        self._outbox = tables["outbox"]
        self._inbox = tables["inbox"]
        self._keep = upsert(self._outbox).on_conflict_do_nothing()
        self._wake: Callable[[Sequence[Outgoing]], None] = lambda _messages: None
        self.lane = asyncio.Lock()
        """Batches of events and periodic jobs take turns here, so that no two of them wait for each other's locks."""

    def wake_with(self, wake: Callable[[Sequence[Outgoing]], None]) -> None:
        self._wake = wake

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        """A unit that commits when the block ends and leaves nothing behind when it raises."""
        async with AsyncSession(self._engine, expire_on_commit=False) as session:
            unit = Unit(session, self.clock(), self.service)
            async with session.begin():
                yield unit
                await session.flush()
                if unit.sent:
                    rows = [
                        {"id": m.id, "subject": m.subject, "body": m.body, "headers": m.headers, "created_at": unit.now}
                        for m in unit.sent
                    ]
                    await session.execute(self._keep, rows)
        self._wake(unit.sent)

    async def first_times(self, unit: Unit, event_ids: Sequence[UUID], handler: str) -> set[UUID]:
        """Records in this unit that `handler` has seen these events; gives those that it had not seen before."""
        found = await unit.session.scalars(
            _FIRST_TIME, {"ids": list(dict.fromkeys(event_ids)), "handler": handler, "now": unit.now}
        )
        return set(found)

    async def prune_inbox(self, unit: Unit, older_than: timedelta) -> None:
        """Forgets ids that no stream can deliver again."""
        await unit.session.execute(delete(self._inbox).where(self._inbox.c.received_at < unit.now - older_than))
