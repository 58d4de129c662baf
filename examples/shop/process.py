"""One component as a process: takes its port first, announces itself, serves, leaves when asked."""

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Protocol, cast

from examples.shop.files import append_line, timestamp, write_atomic
from examples.shop.settings import Settings

if TYPE_CHECKING:
    from examples.shop.web import Component, Context

_BIND_PATIENCE_S = 3.0
_KEEP_ALIVE_S = 75
_BACKLOG = 512
_IGNORED_UNTIL_READY = (signal.SIGHUP, signal.SIGUSR1)
_MODULES: Mapping[str, str] = {"provider-a": "provider", "provider-b": "provider"}


class _Module(Protocol):
    def build(self, context: "Context") -> "Component": ...


def serve(name: str, settings: Settings) -> int:
    """Run component `name` until SIGTERM or SIGINT; returns the exit status.

    The socket listens before the libraries are loaded: after a restart callers wait a third of a
    second in its queue instead of being refused. The port is also the lock that keeps a second
    process of the same component from overwriting the pid file.
    """
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, _leave)  # as pid 1 of a container there is no default action
    for signal_number in _IGNORED_UNTIL_READY:
        signal.signal(signal_number, signal.SIG_IGN)
    listener = _listen(settings.bind_host, settings.port(name))
    _announce(name, settings)
    gc.disable()  # nothing to collect while loading; a tenth of the start-up time
    try:
        _serve(name, settings, listener)
    finally:
        _forget(name, settings)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + _BIND_PATIENCE_S
    while True:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as problem:
            listener.close()
            if time.monotonic() > deadline:
                sys.exit(f"cannot listen on {host}:{port}: {problem}; stop what holds it, or use --base-port")
            time.sleep(0.02)
        else:
            return listener


def _announce(name: str, settings: Settings) -> None:
    write_atomic(settings.pid_file(name), f"{os.getpid()}\n".encode())
    append_line(settings.starts_file, {"component": name, "pid": os.getpid(), "at": timestamp()})


def _forget(name: str, settings: Settings) -> None:
    """A pid file that outlives its process would point at a stranger one day."""
    path = settings.pid_file(name)
    with contextlib.suppress(FileNotFoundError):
        if path.read_text().strip() == str(os.getpid()):
            path.unlink()


def _serve(name: str, settings: Settings, listener: socket.socket) -> None:
    import asyncio

    import uvicorn
    import uvloop

    from examples.shop import logs
    from examples.shop.metrics import Metrics
    from examples.shop.web import Context, build_app

    class Server(uvicorn.Server):
        """uvicorn wakes ten times a second to look for its end; eight idle processes feel that."""

        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            self._asked_to_leave = asyncio.Event()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop)
            for number, action in component.on_signal.items():
                loop.add_signal_handler(number, action)
            yield

        def _stop(self) -> None:
            self.should_exit = True
            _forget(name, settings)  # before the port is free: the successor writes its own
            self._asked_to_leave.set()

        async def main_loop(self) -> None:
            logs.info("started", f"{name} serves on port {settings.port(name)}", pid=os.getpid())
            gc.enable()
            gc.freeze()
            while not await self.on_tick(0):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._asked_to_leave.wait(), 1.0)

    logs.configure(name, settings.log_file(name))
    context = Context(name, settings, Metrics())
    module = importlib.import_module(f"examples.shop.components.{_MODULES.get(name, name)}")
    component = cast(_Module, module).build(context)
    config = uvicorn.Config(
        build_app(context, component),
        loop="none",
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=cast(int, 0.4),
    )
    uvloop.run(Server(config).serve(sockets=[listener]))
    logs.info("stopped", f"{name} stopped")
