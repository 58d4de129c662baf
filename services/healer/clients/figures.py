"""Metrics of a component over the last minutes, read from where other systems report them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError

from services.healer.domain.conditions import Figure
from shared.bus import Bus
from shared.bus.decode import UndecodableError, decode
from shared.bus.streams import INGEST, partition_of
from shared.contracts.ingest import MetricBatch

log = structlog.get_logger()

MESSAGES_MAX = 2_000
BATCH = 64
FETCH_S = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """A short look at the stream; nothing is kept in between, so that a successor sees the same."""

    bus: Bus

    async def read(self, component: str, since: datetime) -> Mapping[str, Figure]:
        """What was reported from `since` on, by metric; nothing while the bus is away."""
        try:
            return folded(await self._batches(component, since), since)
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("metrics can't be read", component=component, error=str(error))
            return {}

    async def _batches(self, component: str, since: datetime) -> list[MetricBatch]:
        jetstream = self.bus.jetstream
        name = f"healer-figures-{uuid4().hex[:12]}"
        config = ConsumerConfig(
            name=name,
            filter_subject=f"{MetricBatch.SUBJECT}.{partition_of(component)}.{component}",
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=since,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=10,
            mem_storage=True,
        )
        info = await jetstream.add_consumer(INGEST, config=config)
        left = min(info.num_pending or 0, MESSAGES_MAX)
        prefix = self.bus.inbox_prefix + b"."
        subscription = await jetstream.pull_subscribe_bind(consumer=name, stream=INGEST, inbox_prefix=prefix)
        found: list[MetricBatch] = []
        try:
            while left > 0:
                messages = await subscription.fetch(batch=min(left, BATCH), timeout=FETCH_S)
                found += [batch for message in messages if (batch := _batch(message)) is not None]
                left -= len(messages)
        except FetchTimeoutError:
            log.warning("not all metrics were read", component=component, left=left)
        finally:
            await subscription.unsubscribe()
        return found


def _batch(message: Msg) -> MetricBatch | None:
    """What can't be read is passed over: the detector says so."""
    metadata = message.metadata
    try:
        return decode(
            MetricBatch,
            message.data,
            message.subject,
            stream=INGEST,
            sequence=metadata.sequence.stream,
            stored_at=metadata.timestamp,
        )
    except UndecodableError:
        return None


def folded(batches: list[MetricBatch], since: datetime) -> dict[str, Figure]:
    """All series of a metric together; readings of before `since` don't count."""
    readings: dict[str, list[tuple[datetime, float]]] = {}
    for batch in batches:
        for sample in batch.samples:
            at = sample.at or batch.at
            if at >= since:
                readings.setdefault(sample.name, []).append((at, sample.value))
    return {name: _figure(found) for name, found in readings.items()}


def _figure(found: list[tuple[datetime, float]]) -> Figure:
    values = [value for _, value in found]
    last = max(found, key=lambda reading: reading[0])[1]
    return Figure(last, sum(values) / len(values), min(values), max(values), len(values))
