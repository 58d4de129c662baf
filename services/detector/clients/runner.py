"""Runs all probes of this replica: bounded, staggered, and none able to harm another."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import structlog

from services.detector.clients.asking import NotAllowedError, new_client
from services.detector.clients.docker import DockerProber
from services.detector.clients.files import ConfigProber, LogProber
from services.detector.clients.host import HostProber
from services.detector.clients.journal import JournalProber
from services.detector.clients.network import PromqlProber, ScrapeProber, TcpProber
from services.detector.clients.postgres import PostgresProber
from services.detector.clients.process import ProcessProber
from services.detector.clients.redis_server import RedisProber
from services.detector.clients.reports import Memory, Reports
from services.detector.clients.sql import SqlProber
from services.detector.clients.web import HttpProber
from shared.packs.model import Probe

log = structlog.get_logger()

POLL_S = 0.2
"""How often files and process states are glanced at."""
STAGGER_S = 2.0
"""First looks are spread over this time."""
SAY_AGAIN_S = 60.0
"""A probe that keeps failing inside says so this often."""


class Prober(Protocol):
    async def look(self) -> None:
        """Look once and report."""


@runtime_checkable
class Polled(Protocol):
    async def poll(self) -> None:
        """A glance that costs next to nothing; report only what has changed."""


@runtime_checkable
class Closable(Protocol):
    async def close(self) -> None: ...


class _Running:
    """One probe at work."""

    def __init__(self, probe: Probe, hosts: frozenset[str], prober: Prober) -> None:
        self.probe, self.hosts, self.prober = probe, hosts, prober
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        self.said_at = -SAY_AGAIN_S


class ProbeRunner:
    """`configure` says what runs; the rest follows. Call it from the event loop's thread."""

    def __init__(self, reports: Reports, memory: Memory, concurrency: int) -> None:
        self._reports, self._memory = reports, memory
        self._slots = asyncio.Semaphore(concurrency)
        self._client = new_client()
        self._running: dict[str, _Running] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._running)

    def configure(self, probes: Iterable[tuple[Probe, frozenset[str]]]) -> None:
        """Run exactly these, each with the hosts it may call; what stays the same goes on undisturbed."""
        wanted = {probe.name: (probe, hosts) for probe, hosts in probes}
        for name, running in list(self._running.items()):
            if wanted.get(name) != (running.probe, running.hosts):
                self._stop(name)
        for name, (probe, hosts) in wanted.items():
            if name not in self._running:
                self._start(name, probe, hosts)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name="probe-polls")

    async def sweep(self) -> int:
        """Every probe looks now; how many there were."""
        running = list(self._running.values())
        await asyncio.gather(*(self._look(each) for each in running))
        return len(running)

    async def close(self) -> None:
        for name in list(self._running):
            self._stop(name)
        if self._polling is not None:
            self._polling.cancel()
        await asyncio.gather(*self._closing, *filter(None, [self._polling]), return_exceptions=True)
        await self._client.aclose()

    def _start(self, name: str, probe: Probe, hosts: frozenset[str]) -> None:
        try:
            prober = self._make(probe, hosts)
        except (NotAllowedError, OSError) as error:
            log.error("probe can't run", probe=name, error=str(error))
            return
        running = self._running[name] = _Running(probe, hosts, prober)
        running.task = asyncio.create_task(self._repeat(running), name=f"probe-{name}")

    def _stop(self, name: str) -> None:
        task = asyncio.create_task(self._end(self._running.pop(name)))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _end(self, running: _Running) -> None:
        if running.task is not None:
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)
        async with running.lock:
            if isinstance(running.prober, Closable):
                try:
                    await running.prober.close()
                except Exception as error:  # noqa: BLE001 - as in `_look`
                    self._broke(running, error)

    def _make(self, probe: Probe, hosts: frozenset[str]) -> Prober:
        match probe.kind:
            case "http":
                return HttpProber(probe, self._reports, self._client, hosts)
            case "scrape":
                return ScrapeProber(probe, self._reports, self._client, hosts)
            case "tcp":
                return TcpProber(probe, self._reports)
            case "postgres":
                return PostgresProber(probe, self._reports)
            case "process":
                return ProcessProber(probe, self._reports)
            case "logs":
                return LogProber(probe, self._reports, self._memory)
            case "redis":
                return RedisProber(probe, self._reports)
            case "sql":
                return SqlProber(probe, self._reports)
            case "promql":
                return PromqlProber(probe, self._reports, self._client, hosts)
            case "journal":
                return JournalProber(probe, self._reports, self._memory)
            case "config":
                return ConfigProber(probe, self._reports, self._memory)
            case "docker":
                return DockerProber(probe, self._reports, self._memory)
            case "host":
                return HostProber(probe, self._reports)
            case other:
                raise NotAllowedError(f"this release knows no probe of kind {other!r}")

    async def _repeat(self, running: _Running) -> None:
        """At a fixed beat from a start that follows from the name: replicas and restarts don't bunch up. A beat
        that was missed isn't made up for."""
        every_s = running.probe.every_s
        share = zlib.crc32(running.probe.name.encode()) / 2**32
        due = time.monotonic() + share * min(every_s, STAGGER_S)
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._look(running)
            due += every_s
            late_s = time.monotonic() - due
            if late_s > 0:
                due += every_s * (late_s // every_s + 1)

    async def _look(self, running: _Running) -> None:
        async with self._slots, running.lock:
            try:
                await running.prober.look()
            except Exception as error:  # noqa: BLE001 - a probe that breaks must not stop looking
                self._broke(running, error)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            for running in list(self._running.values()):
                if not isinstance(running.prober, Polled) or running.lock.locked():
                    continue
                async with running.lock:
                    try:
                        await running.prober.poll()
                    except Exception as error:  # noqa: BLE001 - as above
                        self._broke(running, error)

    def _broke(self, running: _Running, error: Exception) -> None:
        now = time.monotonic()
        if now - running.said_at >= SAY_AGAIN_S:
            running.said_at = now
            log.error("probe failed inside", probe=running.probe.name, error=f"{type(error).__name__}: {error}")
