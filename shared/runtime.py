"""A service's life: start, serve health, drain, stop. Every `app.py` builds a `Service` and runs it.

Liveness looks at this process's own progress, never at its dependencies: a restart doesn't mend a database that is
away. Readiness looks at NATS and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import MetaData, func, select, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared import telemetry
from shared.bus import Bus
from shared.contracts.gateway import PackApplied
from shared.db import create_engine, database_url
from shared.outbox import Relay, Unit, Units
from shared.packs.book import PackBook
from shared.partitions import Fold, PartitionedConsumer
from shared.settings import ServiceSettings

log = structlog.get_logger()

INBOX_RETENTION = timedelta(days=8)
"""Longer than any stream keeps a message."""
STALL_S = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class _Loop:
    """A background loop's sign of life."""

    def __init__(self, max_silence_s: float) -> None:
        self.max_silence_s = max_silence_s
        self.beat()

    def beat(self) -> None:
        self._at = time.monotonic()

    @property
    def silent(self) -> bool:
        return time.monotonic() - self._at > self.max_silence_s


class Service:
    """One service process. Register on it, then `run()`."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        metadata: MetaData,
        clock: Callable[[], datetime] = utc_now,
        ids: Callable[[], UUID] = uuid4,
    ) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self._tables = metadata.tables
        self._url = database_url(name, settings)
        self.engine = create_engine(self._url, name)
        tables = {table.name: table for table in metadata.tables.values()}
        self.units = Units(name, self.engine, tables, clock)
        self.bus = Bus(name, settings.nats_url, settings.nats_secret(), self.units)
        self.packs = PackBook()
        self.bus.watch(PackApplied, self.packs.seen)
        self._relay = Relay(name, self.engine, tables["outbox"], self.bus.publish_outgoing)
        self.units.wake_with(self._relay.wake)
        self.consumers: list[PartitionedConsumer[Any]] = []
        self._work: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._loops: dict[str, _Loop] = {}
        self._on_start: list[Callable[[], Awaitable[None]]] = []
        self._on_stop: list[Callable[[], Awaitable[None]]] = []
        self._started = False
        self._stopping = asyncio.Event()
        self.every(3_600, "prune-inbox", lambda unit: self.units.prune_inbox(unit, INBOX_RETENTION))

    # ---- registering

    def every(
        self, seconds: float, name: str, job: Callable[[Unit], Awaitable[bool | None]], *, exclusive: bool = True
    ) -> None:
        """Runs `job` in a unit of work every so often, and again at once when it says that there is more to do.
        `exclusive`: on one replica at a time."""
        loop = self._loops[name] = _Loop(max(STALL_S, 10 * seconds))

        async def run() -> None:
            while True:
                more: bool | None = False
                try:
                    async with self.units.lane, self.units.begin() as unit:
                        if not exclusive or await self._lead(unit, name):
                            more = await job(unit)
                except Exception as error:  # noqa: BLE001 - the next round tries again
                    telemetry.LOOP_FAILURES.labels(self.name, name).inc()
                    log.warning("periodic job failed", job=name, error=f"{type(error).__name__}: {error}")
                loop.beat()
                await asyncio.sleep(0.0 if more else seconds)

        self._work.append((name, run))

    def task(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `work` in the background and again whenever it ends or fails."""

        async def run() -> None:
            while True:
                try:
                    await work()
                except Exception as error:
                    telemetry.LOOP_FAILURES.labels(self.name, name).inc()
                    log.exception("background work failed; starting it again", work=name, error=str(error))
                await asyncio.sleep(0.5)

        self._work.append((name, run))

    def partitions[Effect](
        self,
        *,
        kinds: Sequence[str],
        make: Callable[[int], Fold[Effect]],
        commit: Callable[[Unit, Sequence[Effect]], Awaitable[None]],
        on_owned: Callable[[frozenset[int]], None] = lambda _partitions: None,
        buries_unreadable: bool = False,
    ) -> PartitionedConsumer[Effect]:
        """Adds telemetry of these kinds, folded per partition."""
        consumer = PartitionedConsumer(
            self.bus,
            self.units,
            {table.name: table for table in self._tables.values()},
            self._url,
            kinds=kinds,
            make=make,
            commit=commit,
            on_owned=on_owned,
            buries_unreadable=buries_unreadable,
        )
        self.consumers.append(consumer)
        self._work.append(("partitions", consumer.run))
        return consumer

    def on_start(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Called once the bus is up and before any event is handled."""
        self._on_start.append(hook)

    def on_stop(self, hook: Callable[[], Awaitable[None]]) -> None:
        self._on_stop.append(hook)

    # ---- running

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then finishes what is in hand."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        health = asyncio.create_task(self._serve_health(), name="health")
        try:
            starting = asyncio.create_task(self.start())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                log.info("started")
                await stopping
            else:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
            log.info("stopping")
        finally:
            await self.stop()
            health.cancel()
            await asyncio.gather(health, return_exceptions=True)

    async def start(self) -> None:
        """Waits for PostgreSQL and NATS, then starts hooks, handlers and background work."""
        await self._wait_for("PostgreSQL", self._ask_database)
        for hook in self._on_start:
            await hook()
        await self._wait_for("NATS", self.bus.start)
        self._running = [asyncio.create_task(self._relay.run(), name="relay")]
        self._running += [asyncio.create_task(work(), name=name) for name, work in self._work]
        self._started = True

    async def stop(self) -> None:
        """Drains: what is in hand is finished, and nothing is lost if it isn't."""
        running = getattr(self, "_running", [])
        for consumer in self.consumers:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await consumer.settle()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for hook in self._on_stop:
            await hook()
        if self.bus.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.bus.stop()
        await self.engine.dispose()

    async def _wait_for(self, what: str, connect: Callable[[], Awaitable[None]]) -> None:
        delay_s = 0.1
        while True:
            try:
                return await connect()
            except Exception as error:  # noqa: BLE001 - not there yet, or wrongly configured: say so and try again
                log.warning(f"waiting for {what}", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 2.0)

    async def _ask_database(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1 from outbox limit 1"))

    async def _lead(self, unit: Unit, job: str) -> bool:
        key = zlib.crc32(f"homeostat:{self.name}:{job}".encode())
        return bool((await unit.session.execute(select(func.pg_try_advisory_xact_lock(key)))).scalar_one())

    # ---- health

    async def _serve_health(self) -> None:
        if not self.settings.health_port:
            await asyncio.Event().wait()
        routes = [
            Route("/livez", self._live),
            Route("/readyz", self._ready),
            Route("/startupz", self._startup),
            Route("/metrics", self._metrics),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=self.settings.health_host,
            port=self.settings.health_port,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        with contextlib.suppress(SystemExit):
            await server._serve()
        if not server.started:
            address = f"{self.settings.health_host}:{self.settings.health_port}"
            log.error(f"{address} is in use: set HOMEOSTAT_HEALTH_PORT to a free port")
            self._stopping.set()

    async def _live(self, _request: Request) -> Response:
        stalled = [name for name, loop in self._loops.items() if self._started and loop.silent]
        stalled += [
            "partitions"
            for consumer in self.consumers
            if self._started and time.monotonic() - consumer.worked_at > STALL_S
        ]
        stalled += self.bus.stuck()
        return JSONResponse({"live": not stalled, "stalled": stalled}, status_code=503 if stalled else 200)

    async def _ready(self, _request: Request) -> Response:
        problems = [] if self._started else ["starting"]
        if not self.bus.connected:
            problems.append("NATS is not connected")
        try:
            async with asyncio.timeout(2):
                await self._ask_database()
        except Exception as error:  # noqa: BLE001 - any failure means not ready; the text says which
            problems.append(f"PostgreSQL: {type(error).__name__}: {error}")
        return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)

    async def _startup(self, _request: Request) -> Response:
        return JSONResponse({"started": self._started}, status_code=200 if self._started else 503)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def serve(build: Callable[[], Service]) -> None:
    """Runs one service in this process until it is told to stop."""
    import uvloop

    async def main() -> None:
        service = build()
        telemetry.start_logging(service.name, service.settings.log_level)
        provider = telemetry.start_tracing(service.name, service.settings)
        try:
            await service.run()
        finally:
            provider.shutdown()

    uvloop.run(main())
