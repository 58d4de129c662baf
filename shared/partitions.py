"""Telemetry in order, exactly once, on any number of replicas.

The server spreads telemetry over partitions by component. A replica claims a partition with an advisory lock; its
state is checkpointed with the stream sequence it covers, in the same transaction as what it gave rise to. Whoever
takes over reads on from there, so killing a replica neither loses nor repeats anything. A claim raises the
partition's epoch, and a checkpoint of an older epoch is refused: a replica that was only asleep can't overwrite.
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import asyncpg
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError
from opentelemetry import propagate
from opentelemetry.trace import SpanKind
from sqlalchemy import URL, Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared import telemetry
from shared.bus import PARTITIONS, Bus, UndecodableError
from shared.bus.decode import decode
from shared.bus.delivery import is_infrastructure
from shared.bus.dlq import bury
from shared.bus.pull import Pull, PullBrokenError
from shared.bus.streams import INGEST
from shared.contracts import ingest
from shared.contracts.base import Event
from shared.outbox import Unit, Units

log = structlog.get_logger()

KINDS: dict[str, type[Event]] = {
    "metrics": ingest.MetricBatch,
    "logs": ingest.LogBatch,
    "checks": ingest.Check,
    "changes": ingest.Change,
    "incidents": ingest.ExternalIncident,
    "outcomes": ingest.ExternalOutcome,
}
CHECKPOINT_S = 2.0
REBALANCE_S = 1.0
REPLICA_GONE_S = 5.0
RETRY_S = 0.3


class Fold[Effect](Protocol):
    """State of one partition: the same messages in the same order give the same state and effects, always."""

    def restore(self, snapshot: bytes | None) -> None: ...

    def snapshot(self) -> bytes: ...

    def apply(self, event: Event, at: datetime) -> Sequence[Effect]: ...


class FencedError(Exception):
    """Another replica has taken the partition over."""


@dataclass(frozen=True, slots=True)
class Claim:
    partition: int
    epoch: int
    stream_sequence: int
    snapshot: bytes | None


class PartitionedConsumer[Effect]:
    """Claims partitions and works on each in order."""

    def __init__(
        self,
        bus: Bus,
        units: Units,
        tables: dict[str, Table],
        url: URL,
        *,
        kinds: Sequence[str],
        make: Callable[[int], Fold[Effect]],
        commit: Callable[[Unit, Sequence[Effect]], Awaitable[None]],
        on_owned: Callable[[frozenset[int]], None] = lambda _partitions: None,
        buries_unreadable: bool = False,
    ) -> None:
        self._bus = bus
        self._units = units
        self._checkpoints = tables["partition_checkpoint"]
        self._replicas = tables["replica"]
        self._url = url
        self.kinds = tuple(kinds)
        self._make = make
        self.commit = commit
        self._on_owned = on_owned
        self._buries_unreadable = buries_unreadable
        self._replica = f"{bus.service}-{uuid4().hex[:8]}"
        self._lock_class = zlib.crc32(f"homeostat:{bus.service}".encode()) - 2**31
        self._workers: dict[int, asyncio.Task[None]] = {}
        self.folds: dict[int, Fold[Effect]] = {}
        self.worked_at = time.monotonic()

    @property
    def owned(self) -> frozenset[int]:
        return frozenset(self._workers)

    async def run(self) -> None:
        """Claims and works for ever; gives everything up when cancelled or when the lock's connection is lost."""
        while True:
            try:
                locks = await self._connect_locks()
                try:
                    while True:
                        await self._rebalance(locks)
                        self.worked_at = time.monotonic()
                        await asyncio.sleep(REBALANCE_S)
                finally:
                    await self._release_all()
                    await locks.close(timeout=2)
            except Exception as error:  # noqa: BLE001 - whatever broke, partitions are free again: claim anew
                telemetry.LOOP_FAILURES.labels(self._bus.service, "partitions").inc()
                log.warning("partitions given up; claiming again", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)

    async def settle(self) -> None:
        """Saves what has been worked on: for a graceful stop."""
        await self._release_all()

    # ---- claims

    async def _connect_locks(self) -> asyncpg.Connection[asyncpg.Record]:
        """Advisory locks live as long as their session, so they have a connection of their own."""
        return await asyncpg.connect(
            host=self._url.host,
            port=self._url.port,
            user=self._url.username,
            password=self._url.password,
            database=self._url.database,
            timeout=5,
            command_timeout=5,
        )

    async def _rebalance(self, locks: asyncpg.Connection[asyncpg.Record]) -> None:
        before = self.owned
        await locks.execute("select 1")  # a lost session has lost its locks: raises
        for partition, worker in list(self._workers.items()):
            if worker.done():
                await self._release(partition, locks)
        fair = math.ceil(PARTITIONS / max(await self._live_replicas(), 1))
        for partition in sorted(self._workers)[fair:]:
            await self._release(partition, locks)
        for partition in range(PARTITIONS):
            if len(self._workers) >= fair:
                break
            if partition not in self._workers:
                await self._try_claim(partition, locks)
        if self.owned != before:
            telemetry.PARTITIONS_OWNED.labels(self._bus.service).set(len(self._workers))
            log.info("partitions", owned=len(self._workers))
            self._on_owned(self.owned)

    async def _live_replicas(self) -> int:
        table = self._replicas
        async with self._units.begin() as unit:
            beat = upsert(table).values(replica=self._replica, seen_at=func.clock_timestamp())
            await unit.session.execute(
                beat.on_conflict_do_update(index_elements=[table.c.replica], set_={"seen_at": func.clock_timestamp()})
            )
            gone = func.clock_timestamp() - timedelta(seconds=REPLICA_GONE_S)
            await unit.session.execute(delete(table).where(table.c.seen_at < gone))
            return int((await unit.session.execute(select(func.count()).select_from(table))).scalar_one())

    async def _try_claim(self, partition: int, locks: asyncpg.Connection[asyncpg.Record]) -> None:
        if not await locks.fetchval("select pg_try_advisory_lock($1, $2)", self._lock_class, partition):
            return
        table = self._checkpoints
        async with self._units.begin() as unit:
            first = upsert(table).values(
                partition=partition, epoch=1, owner=self._replica, stream_sequence=0, saved_at=unit.now
            )
            again = first.on_conflict_do_update(
                index_elements=[table.c.partition], set_={"epoch": table.c.epoch + 1, "owner": self._replica}
            ).returning(table.c.epoch, table.c.stream_sequence, table.c.snapshot)
            row = (await unit.session.execute(again)).one()
        claim = Claim(partition, row.epoch, row.stream_sequence, row.snapshot)
        self._workers[partition] = asyncio.create_task(self._work(claim), name=f"partition-{partition}")

    async def _release(self, partition: int, locks: asyncpg.Connection[asyncpg.Record]) -> None:
        await self._stop_worker(partition)
        await locks.execute("select pg_advisory_unlock($1, $2)", self._lock_class, partition)

    async def _release_all(self) -> None:
        await asyncio.gather(*(self._stop_worker(partition) for partition in list(self._workers)))
        async with self._units.begin() as unit:
            await unit.session.execute(delete(self._replicas).where(self._replicas.c.replica == self._replica))
        self._on_owned(self.owned)

    async def _stop_worker(self, partition: int) -> None:
        worker = self._workers.pop(partition)
        worker.cancel()
        (result,) = await asyncio.gather(worker, return_exceptions=True)
        if isinstance(result, Exception):
            log.warning("partition given up", partition=partition, error=f"{type(result).__name__}: {result}")
        self.folds.pop(partition, None)

    # ---- work

    async def _work(self, claim: Claim) -> None:
        """Folds messages from the checkpoint on. Any failure goes back to the last checkpoint."""
        sequence, snapshot = claim.stream_sequence, claim.snapshot
        while True:
            fold = self._make(claim.partition)
            fold.restore(snapshot)
            self.folds[claim.partition] = fold
            work = _Work(self, claim, fold, sequence, snapshot)
            try:
                await work.run()
            except FencedError:
                raise
            except asyncio.CancelledError:
                await work.save_on_leaving()
                raise
            except Exception as error:
                if not isinstance(error, PullBrokenError) and not is_infrastructure(error):
                    raise
                log.warning("partition reads again", partition=claim.partition, error=str(error))
            sequence, snapshot = work.saved
            await asyncio.sleep(RETRY_S)

    def read(self, message: Msg) -> Event | None:
        """The event in a message; None for one that is not for a fold or can't be read."""
        contract = KINDS.get(message.subject.split(".", 2)[1])
        if contract is None:
            raise UndecodableError(
                f"{message.subject}: unknown kind: publish on ingest.{{{','.join(KINDS)}}}.v1.<component>"
            )
        metadata = message.metadata
        return decode(
            contract,
            message.data,
            message.subject,
            stream=INGEST,
            sequence=metadata.sequence.stream,
            stored_at=metadata.timestamp,
        )

    async def unreadable(self, message: Msg, error: UndecodableError) -> None:
        """One service sets it aside for all that read telemetry."""
        if self._buries_unreadable:
            log.error("message set aside", subject=message.subject, error=str(error))
            await bury(self._bus.jetstream, self._bus.service, "telemetry", message, str(error))

    async def open(self, claim: Claim, sequence: int) -> tuple[str, Pull]:
        """A consumer of its own for this epoch, starting right after `sequence`."""
        name = f"{self._bus.service}-p{claim.partition:02d}-{claim.epoch}-{uuid4().hex[:6]}"
        config = ConsumerConfig(
            name=name,
            filter_subjects=[f"ingest.{kind}.v1.{claim.partition}.>" for kind in self.kinds],
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if sequence else DeliverPolicy.ALL,
            opt_start_seq=sequence + 1 if sequence else None,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60,
            mem_storage=True,
        )
        await self._bus.jetstream.add_consumer(INGEST, config=config)
        inbox = f"{self._bus.inbox_prefix.decode()}.pull.{uuid4().hex}"
        return name, Pull(self._bus.broker.connection, INGEST, name, inbox)

    async def close(self, name: str) -> None:
        try:
            await self._bus.jetstream.delete_consumer(INGEST, name)
        except (NotFoundError, NatsError, TimeoutError, OSError) as error:
            log.debug("consumer left to expire", consumer=name, error=str(error))

    async def save(self, claim: Claim, sequence: int, snapshot: bytes, effects: Sequence[Effect]) -> None:
        """Effects, state and place in the stream, all or nothing.

        Raises:
            FencedError: another replica has claimed the partition since.
        """
        table = self._checkpoints
        with telemetry.CHECKPOINT_SECONDS.labels(self._bus.service).time():
            async with self._units.begin() as unit:
                mine = (
                    update(table)
                    .where(table.c.partition == claim.partition, table.c.epoch == claim.epoch)
                    .values(stream_sequence=sequence, snapshot=snapshot, saved_at=unit.now)
                    .returning(table.c.epoch)
                )
                if (await unit.session.execute(mine)).first() is None:
                    raise FencedError(f"partition {claim.partition} was taken over")
                if effects:
                    await self.commit(unit, effects)

    def count(self, messages: int) -> None:
        telemetry.TELEMETRY_MESSAGES.labels(self._bus.service).inc(messages)


class _Work[Effect]:
    """One stretch of work on one partition, from a checkpoint to the next failure."""

    def __init__(
        self,
        owner: PartitionedConsumer[Effect],
        claim: Claim,
        fold: Fold[Effect],
        sequence: int,
        snapshot: bytes | None,
    ) -> None:
        self._owner = owner
        self._claim = claim
        self._fold = fold
        self._sequence = sequence
        self._clean = True
        """Whether every message applied has had its effects saved: only then the state may be checkpointed."""
        self.saved: tuple[int, bytes | None] = (sequence, snapshot)
        self._saved_at = time.monotonic()

    async def run(self) -> None:
        name, pull = await self._owner.open(self._claim, self._sequence)
        try:
            async with pull:
                while True:
                    await self._batch(await pull.batch())
        finally:
            await asyncio.shield(self._owner.close(name))

    async def _batch(self, messages: Sequence[Msg]) -> None:
        effects: list[Effect] = []
        cause: Msg | None = None
        self._clean = False
        for message in messages:
            try:
                event = self._owner.read(message)
                if event is not None:
                    news = self._fold.apply(event, message.metadata.timestamp)
                    if news and cause is None:
                        cause = message
                    effects.extend(news)
            except UndecodableError as error:
                await self._owner.unreadable(message, error)
            self._sequence = message.metadata.sequence.stream
        self._owner.count(len(messages))
        if effects or time.monotonic() - self._saved_at > CHECKPOINT_S:
            await self._save(effects, cause)
        self._clean = True

    async def _save(self, effects: Sequence[Effect], cause: Msg | None = None) -> None:
        """The span continues the trace of the message that gave rise to the effects: a case's trace begins there."""
        snapshot = self._fold.snapshot()
        if cause is None:
            await self._owner.save(self._claim, self._sequence, snapshot, effects)
        else:
            parent = propagate.extract(cause.headers or {})
            with telemetry.tracer.start_as_current_span(
                f"fold {cause.subject.split('.')[1]}", context=parent, kind=SpanKind.CONSUMER
            ):
                await self._owner.save(self._claim, self._sequence, snapshot, effects)
        self.saved = (self._sequence, snapshot)
        self._saved_at = time.monotonic()

    async def save_on_leaving(self) -> None:
        """Spares the next owner the replay; not saved is no harm."""
        if self._clean and self._sequence != self.saved[0]:
            try:
                await self._save(())
            except Exception as error:  # noqa: BLE001 - the next owner replays from the last checkpoint
                log.info("left without a last checkpoint", partition=self._claim.partition, error=str(error))
