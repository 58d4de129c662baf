"""Uvicorn inside the service's own loop, so that requests and events share one pool, one client and one life."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

log = structlog.get_logger()

GRACE_S = 3
MAX_CONNECTIONS = 500
KEEP_ALIVE_S = 30


class _Quiet(uvicorn.Server):
    """Leaves signals to the service, which stops everything in order."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str, int], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell_started(host, port)


class HttpServer:
    """Serves until cancelled, then finishes the requests in hand."""

    def __init__(self, api: ASGIApp, host: str, port: int, before_stop: Callable[[], None]) -> None:
        self._config = uvicorn.Config(
            api,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._before_stop = before_stop
        self.listening = asyncio.Event()
        self.address: tuple[str, int] | None = None
        """Where it listens, once it does."""

    async def run(self) -> None:
        server = _Quiet(self._config, self._started)
        serving = asyncio.create_task(self._serve(server))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._before_stop()
            server.should_exit = True
            await serving
            raise

    async def _serve(self, server: uvicorn.Server) -> None:
        try:
            await server.serve()
        except SystemExit:
            # Uvicorn ends the process when it can't listen; the service tries again instead.
            where = f"{self._config.host}:{self._config.port}"
            log.error(f"{where} is in use: set HOMEOSTAT_HTTP_PORT to a free port, or stop what holds it")
            await asyncio.sleep(1)

    def _started(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.listening.set()
        log.info("serving", url=f"http://{host}:{port}")
