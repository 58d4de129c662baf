"""Sends what waits: plans each channel under a lock, sends outside of any transaction, and writes what became of it.

A crash between sending and writing that down leaves the message in `sending`; when its time is up it is sent again
with the same id. That is at least once, with an id by which the receiver knows a repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.gateway.clients.deliver import Message, deliver
from services.gateway.clients.outside import DeliveryError
from services.gateway.domain.notices.model import Notice
from services.gateway.domain.notices.pacing import RATE_WINDOW, Limits, Waiting, plan, retry_s
from services.gateway.handlers.notices import NOTICE
from services.gateway.store import notices
from services.gateway.store.tables import NoticeRow
from shared import telemetry
from shared.outbox import Units
from shared.packs.book import PackBook
from shared.packs.model import Pack
from shared.packs.notify import Channel, NoticeKind

log = structlog.get_logger()

POLL_S = 0.5
SENDING_WITHIN = timedelta(seconds=60)
"""Longer than any channel takes: after this whoever was sending is taken for dead."""
_OPENS = frozenset({NoticeKind.INCIDENT_OPENED})
_ENDS = frozenset({NoticeKind.INCIDENT_RESOLVED})


@dataclass(slots=True)
class Notifier:
    units: Units
    packs: PackBook
    ids: Callable[[], UUID]
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Sends for ever; a channel that fails holds up no other."""
        while True:
            await self.round()
            await asyncio.sleep(POLL_S)

    async def round(self) -> None:
        """One look at every channel on which something waits."""
        async with self.units.begin() as unit:
            channels = await notices.due_channels(unit.session, unit.now)
            telemetry.NOTICES_WAITING.set(await notices.count_waiting(unit.session))
        await asyncio.gather(*(self._one(pack, channel) for pack, channel in channels))

    async def _one(self, pack_name: str, channel_name: str) -> None:
        applied = self.packs.packs.get(pack_name)
        channel = applied.pack.notify.channels.get(channel_name) if applied else None
        claimed = await self._claim(pack_name, channel_name, channel)
        if claimed is not None and channel is not None and applied is not None:
            message, attempts = claimed
            await self._send(applied.pack, channel_name, channel, message, attempts)

    async def _claim(self, pack: str, name: str, channel: Channel | None) -> tuple[Message, int] | None:
        async with self.units.begin() as unit:
            if not await notices.lock(unit.session, pack, name):
                return None
            rows = await notices.waiting(unit.session, pack, name, unit.now)
            if channel is None:
                await notices.drop(unit.session, [row.id for row in rows], "the pack has no such channel any more")
                return None
            sent = await notices.sent_since(unit.session, pack, name, unit.now - RATE_WINDOW)
            limits = Limits(channel.group_s, channel.per_minute, single=channel.kind == "pagerduty")
            planned = plan([_waiting(row) for row in rows], sent, limits, unit.now)
            if planned.drop:
                await notices.drop(unit.session, planned.drop, "it was over before anybody was told")
            chosen = [row for row in rows if row.id in planned.send]
            if not chosen:
                return None
            batch = planned.batch or self.ids()
            attempts = max(row.attempts for row in chosen) + 1
            told = tuple(NOTICE.validate_python(row.body) for row in chosen)
            await notices.claim(unit.session, [row.id for row in chosen], batch, unit.now + SENDING_WITHIN)
            return Message(batch, told, unit.now), attempts

    async def _send(self, pack: Pack, name: str, channel: Channel, message: Message, attempts: int) -> None:
        problem: DeliveryError | None = None
        try:
            async with asyncio.timeout(SENDING_WITHIN.total_seconds() / 2):
                await deliver(channel, message, pack.http_hosts)
        except DeliveryError as error:
            problem = error
        except TimeoutError:
            problem = DeliveryError("it took too long")
        async with self.units.begin() as unit:
            if problem is None:
                await notices.settle(unit.session, message.id, notices.SENT, due_at=unit.now, sent_at=unit.now)
                _measure(channel, message.notices, unit.now)
                return
            pause_s = None if problem.is_final else retry_s(attempts, problem.retry_after_s)
            state = notices.FAILED if pause_s is None else notices.WAITING
            due_at = unit.now + timedelta(seconds=pause_s or 0)
            await notices.settle(unit.session, message.id, state, due_at=due_at, error=str(problem))
        telemetry.NOTICES.labels(channel.kind, "failed" if pause_s is None else "put-off").inc(len(message.notices))
        log.warning("notice not delivered", channel=f"{pack.pack}/{name}", error=str(problem), again_in_s=pause_s)


def _waiting(row: NoticeRow) -> Waiting:
    notice = NOTICE.validate_python(row.body)
    return Waiting(
        id=row.id,
        created_at=row.created_at,
        due_at=row.due_at,
        is_question=notice.question is not None,
        case_id=row.case_id,
        opens=not _OPENS.isdisjoint(notice.kinds),
        ends=not _ENDS.isdisjoint(notice.kinds),
        batch=row.batch,
    )


def _measure(channel: Channel, told: tuple[Notice, ...], now: datetime) -> None:
    telemetry.NOTICES.labels(channel.kind, "sent").inc(len(told))
    for notice in told:
        telemetry.NOTICE_SECONDS.labels(channel.kind).observe(max(0.0, (now - notice.at).total_seconds()))
