"""Metric samples a second through the detector on one core: its domain, with decoding, and off the bus."""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import nats
import psutil
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from pydantic import BaseModel

from services.cli.bench.results import Report, Row
from services.cli.provision import nats_users
from services.detector.domain.adaptive import WARM_UP
from services.detector.domain.fold import PartitionState
from services.detector.domain.watch import Watch
from shared.bus.decode import decode
from shared.bus.pull import Pull
from shared.contracts.ingest import MetricBatch, Sample
from shared.embedded import EmbeddedServers

SIZES = (1, 10, 100)
"""Samples a message."""
SCALES = (1_000, 10_000, 100_000)
"""Series."""
PER_COMPONENT = 100
SAMPLES = 200_000
"""About so many are timed for each figure, after WARM_UP readings of every series."""
ON_THE_BUS = 60_000
STREAM, SUBJECT = "THROUGHPUT", "ingest.metrics.v1.c0"
PLOT = Path("docs/throughput.png")
T0 = 1_700_000_000.0


async def run(_data: Path | None = None) -> Report:
    """The table of this area, and a plot of what a sample costs the more series there are."""
    rows, floors = [], await from_the_bus()
    for size in SIZES:
        domain, decoded = through_the_domain(size), with_decoding(size)
        ours, floor = floors[size]
        rows.append(
            Row(
                f"{size} samples a message",
                {
                    "domain": domain,
                    "with decoding": decoded,
                    "off the bus": ours,
                    "bare floor": floor,
                    "ratio to floor": floor / ours,
                },
            )
        )
    scales = [at_scale(series) for series in SCALES]
    rows += [
        Row(
            f"{series:,} series",
            {"domain": per_s, **({"bytes a series": memory} if memory else {}), "snapshot bytes a series": kept},
        )
        for series, (per_s, memory, kept) in zip(SCALES, scales, strict=True)
    ]
    plot([per_s for per_s, _, _ in scales])
    return Report(
        area="throughput",
        at=datetime.now(UTC),
        title="Metric samples through the detector",
        notes="Samples a second on one core, every series past its warm-up and moving at random. Domain: decoded "
        "batches into the fold. Off the bus: the pull, decoding and fold that production runs; the floor: nats-py's "
        "fetch of 256, decoding and an ack a message, and nothing learned. The server shares the machine's cores. "
        "[The cost of a sample by number of series](throughput.png).",
        rows=rows,
    )


class Sender:
    """Components that send the same series again and again."""

    def __init__(self, components: int, size: int) -> None:
        self._chance = random.Random(size)
        self._components = [f"c{number}" for number in range(components)]
        self._names = [f"metric_{number}" for number in range(size)]
        self._size = size
        self.second = T0

    def batches(self) -> list[MetricBatch]:
        """One message of each component."""
        self.second += 1.0
        at = datetime.fromtimestamp(self.second, UTC)
        return [self._batch(component, at) for component in self._components]

    def bodies(self) -> list[bytes]:
        """The same as it is sent."""
        return [batch.model_dump_json().encode() for batch in self.batches()]

    def _batch(self, component: str, at: datetime) -> MetricBatch:
        draw, labels = self._chance.gauss, {"host": component}
        samples = tuple(Sample(name=name, value=draw(100.0, 5.0), labels=labels) for name in self._names)
        return MetricBatch(id=uuid4(), at=at, component=component, samples=samples)


def read(body: bytes, sequence: int, stored_at: datetime) -> MetricBatch:
    """As production reads it."""
    component = MetricBatch.SUBJECT
    return decode(
        MetricBatch, body, _subject_of(body, component), stream=STREAM, sequence=sequence, stored_at=stored_at
    )


def _subject_of(body: bytes, owner: str) -> str:
    start = body.index(b'"component":"') + len(b'"component":"')
    return f"{owner}.{body[start : body.index(b'"', start)].decode()}"


def warmed(sender: Sender) -> PartitionState:
    state = PartitionState(Watch())
    for _ in range(WARM_UP + 10):
        for batch in sender.batches():
            fold(state, batch)
    return state


def fold(state: PartitionState, batch: MetricBatch) -> None:
    at = batch.at.timestamp()
    state.metrics(batch.component, batch.samples, at, at)


def timed(work: Callable[[], int]) -> float:
    """Samples a second; `work` gives how many there were. Collections of garbage are part of the price."""
    gc.collect()
    began = time.process_time()
    samples = work()
    return samples / (time.process_time() - began)


def through_the_domain(size: int, components: int = 10) -> float:
    sender = Sender(components, size)
    state = warmed(sender)
    rounds = max(1, SAMPLES // (size * components))
    batches = [batch for _ in range(rounds) for batch in sender.batches()]

    def work() -> int:
        for batch in batches:
            fold(state, batch)
        return len(batches) * size

    return timed(work)


def with_decoding(size: int, components: int = 10) -> float:
    sender = Sender(components, size)
    state = warmed(sender)
    rounds = max(1, SAMPLES // (3 * size * components))
    bodies = [body for _ in range(rounds) for body in sender.bodies()]
    stored_at = datetime.now(UTC)

    def work() -> int:
        for body in bodies:
            fold(state, read(body, 1, stored_at))
        return len(bodies) * size

    return timed(work)


def at_scale(series: int) -> tuple[float, float, float]:
    """Samples a second, bytes of memory (0 where the process held enough already) and of snapshot a series."""
    sender = Sender(series // PER_COMPONENT, PER_COMPONENT)
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    state = warmed(sender)
    gc.collect()
    memory = (process.memory_info().rss - before) / series
    rounds = max(1, SAMPLES // series)
    batches = [batch for _ in range(rounds) for batch in sender.batches()]

    def work() -> int:
        for batch in batches:
            fold(state, batch)
        return len(batches) * PER_COMPONENT

    return timed(work), memory, len(state.snapshot()) / series


async def from_the_bus() -> dict[int, tuple[float, float]]:
    """Ours and the floor, by samples a message: wall-clock, from the first message to the last."""
    measured = {}
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
        async with EmbeddedServers(Path(folder) / "data", nats_users=nats_users()) as servers:
            client = await nats.connect(servers.nats_url("admin"))
            for size in SIZES:
                sender = Sender(1, size)
                state = warmed(sender)
                bodies = [sender.bodies()[0] for _ in range(ON_THE_BUS // max(size, 4))]
                jetstream = client.jetstream()
                await jetstream.add_stream(StreamConfig(name=STREAM, subjects=[f"bench.{STREAM}"]))
                for body in bodies:
                    await client.publish(f"bench.{STREAM}", body)
                await client.flush()
                while (await jetstream.stream_info(STREAM)).state.messages < len(bodies):
                    await asyncio.sleep(0.05)
                floor = await _floor(client, len(bodies))
                ours = await _ours(client, state, len(bodies))
                measured[size] = (size * len(bodies) / ours, size * len(bodies) / floor)
                await jetstream.delete_stream(STREAM)
            await client.close()
    return measured


async def _floor(client: Client, messages: int) -> float:
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=-1)
    subscription = await client.jetstream().pull_subscribe(f"bench.{STREAM}", durable="floor", config=config)
    began, seen = time.perf_counter(), 0
    while seen < messages:
        for message in await subscription.fetch(min(256, messages - seen), timeout=5):
            _Plain.model_validate_json(message.data)
            await message.ack()
            seen += 1
    return time.perf_counter() - began


async def _ours(client: Client, state: PartitionState, messages: int) -> float:
    config = ConsumerConfig(name="ours", ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True)
    await client.jetstream().add_consumer(STREAM, config=config)
    began, seen = time.perf_counter(), 0
    async with Pull(client, STREAM, "ours", client.new_inbox()) as pull:
        while seen < messages:
            for message in await pull.batch():
                metadata = message.metadata
                fold(state, read(message.data, metadata.sequence.stream, metadata.timestamp))
                seen += 1
    return time.perf_counter() - began


class _Sample(BaseModel):
    name: str
    value: float
    labels: dict[str, str]


class _Plain(BaseModel):
    """The same message to whom it is only a shape."""

    component: str
    samples: list[_Sample]


def plot(per_s: Sequence[float], path: Path = PLOT) -> None:
    """Microseconds a sample by number of series; nothing where matplotlib or docs/ isn't there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    if not path.parent.is_dir():
        return
    figure = Figure(figsize=(5.0, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(SCALES, [1e6 / rate for rate in per_s], marker="o", color="#2a6f97")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("series")
    axes.set_ylabel("µs a sample")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
