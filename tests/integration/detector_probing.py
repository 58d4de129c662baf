"""What the tests of probes share: somebody who hears what they publish, a runner, and a server that answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from services.detector.clients import ProbeRunner, Reports
from shared.contracts.base import Event
from shared.contracts.ingest import Change, Check, CheckResult, LogBatch, LogLine, MetricBatch, Sample
from shared.packs.model import Probe

Eventually = Callable[..., Awaitable[None]]
HOSTS = frozenset({"127.0.0.1"})


class Heard:
    """Everything published, with the time it was."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.at: list[float] = []
        self.files: dict[str, str] = {}
        self.positions: dict[str, str] = {}
        self.fails = 0

    async def publish(self, event: Event) -> None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the bus is away")
        self.events.append(event)
        self.at.append(time.monotonic())

    async def recall(self, probe: str) -> str | None:
        return self.files.get(probe)

    async def remember(self, probe: str, sha256: str) -> None:
        self.files[probe] = sha256

    async def recall_position(self, probe: str) -> str | None:
        return self.positions.get(probe)

    async def remember_position(self, probe: str, position: str) -> None:
        self.positions[probe] = position

    @property
    def checks(self) -> list[Check]:
        return [event for event in self.events if isinstance(event, Check)]

    @property
    def results(self) -> list[CheckResult]:
        return [check.result for check in self.checks]

    @property
    def changes(self) -> list[Change]:
        return [event for event in self.events if isinstance(event, Change)]

    @property
    def lines(self) -> list[str]:
        return [line.message for event in self.events if isinstance(event, LogBatch) for line in event.lines]

    @property
    def log_lines(self) -> list[LogLine]:
        return [line for event in self.events if isinstance(event, LogBatch) for line in event.lines]

    @property
    def all_samples(self) -> list[Sample]:
        return [sample for event in self.events if isinstance(event, MetricBatch) for sample in event.samples]

    @property
    def samples(self) -> dict[str, float]:
        return {sample.name: sample.value for sample in self.all_samples}


@asynccontextmanager
async def running(
    heard: Heard, *probes: dict[str, object], hosts: frozenset[str] = HOSTS
) -> AsyncIterator[ProbeRunner]:
    reports = Reports(heard.publish, lambda: datetime.now(UTC), uuid4)
    runner = ProbeRunner(reports, heard, concurrency=4)
    runner.configure((Probe.model_validate({"component": "web", "every_s": 0.2} | probe), hosts) for probe in probes)
    try:
        yield runner
    finally:
        await runner.close()


async def serve(answer: bytes | None, delay_s: float = 0.0) -> asyncio.Server:
    """An HTTP server that answers everything with these bytes; None never answers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            await asyncio.sleep(delay_s)
            head = b"HTTP/1.1 " + answer.split(b"|")[0] + b"\r\nconnection: close\r\n"
            body = answer.partition(b"|")[2]
            writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()
        else:
            await reader.read()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])
