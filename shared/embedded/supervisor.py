"""Keeps named child processes running: restarts what dies, stops in reverse order, leaves no orphan behind.

One asyncio task per child owns its process from start to end, so that there is a single place where it can die.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.embedded.errors import ChildFailedError, EmbeddedError
from shared.embedded.processes import (
    Command,
    describe_exit,
    kill_group,
    log_size_bytes,
    log_tail,
    rotate_log,
    spawn,
    wait_for_exit,
)

LOG_CHECK_INTERVAL_S = 30.0


class ChildState(StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"  # process runs, not ready yet
    RUNNING = "running"
    BACKOFF = "backoff"  # died; waits for its restart
    FAILED = "failed"  # died many times in a row; still retried, at the longest delay
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RestartPolicy:
    """Exponential backoff: `initial_s`, doubled per death in a row up to `max_s`.

    A run of `stable_s` ends the row; `failed_after` deaths in a row make the child FAILED.
    """

    initial_s: float = 0.05
    max_s: float = 5.0
    stable_s: float = 10.0
    failed_after: int = 6

    def deaths_in_a_row(self, before: int, lasted_s: float) -> int:
        """The new count after a run that lasted `lasted_s`."""
        return 1 if lasted_s >= self.stable_s else before + 1

    def delay_s(self, deaths: int) -> float:
        """How long to wait before the restart that follows that many deaths in a row (at least one)."""
        if deaths >= self.failed_after:
            return self.max_s
        return min(self.max_s, self.initial_s * 2.0 ** (deaths - 1))


@dataclass(frozen=True)
class ChildSpec:
    """A child to keep running.

    `wait_ready` returns once the started process can be used, or raises an EmbeddedError for what no restart
    mends: the child is then stopped and FAILED for good. `sweep` ends processes of an earlier run that
    left the child's process group, and is called before each start and after each end.
    """

    name: str
    command: Command
    log_path: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_deadline_s: float = 10.0
    wait_ready: Callable[[], Awaitable[None]] | None = None
    sweep: Callable[[], None] | None = None


@dataclass(frozen=True)
class ChildStatus:
    """A snapshot of one child. `pid` is None while no process runs; `detail` tells of the last death."""

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    since: datetime
    detail: str = ""
    log_lines: tuple[str, ...] = ()


@dataclass
class _Child:
    spec: ChildSpec
    status: ChildStatus
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    deaths: int = 0
    log_start_bytes: int = 0


class Supervisor:
    """Runs children until stopped. Use it as `async with`, on an event loop in the main thread.

    `on_change` is called in the event loop with the new status at each change of state.
    """

    def __init__(
        self,
        *,
        policy: RestartPolicy = RestartPolicy(),  # frozen
        on_change: Callable[[ChildStatus], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._policy = policy
        self._on_change = on_change
        self._clock = clock
        self._now = now
        self._children: dict[str, _Child] = {}
        self._log_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self, spec: ChildSpec) -> None:
        """Begins to keep a child running; returns at once (see `wait_running`). Names are unique."""
        known = self._children.get(spec.name)
        if known is not None and known.task is not None and not known.task.done():
            raise ValueError(f"a child named {spec.name!r} is running already")
        self._children.pop(spec.name, None)  # one started again stops in its new order
        child = _Child(spec, ChildStatus(spec.name, ChildState.STARTING, None, 0, self._now()))
        self._children[spec.name] = child
        child.task = asyncio.create_task(self._keep_running(child), name=f"supervise-{spec.name}")
        if self._log_task is None:
            self._log_task = asyncio.create_task(self._bound_logs(), name="supervise-logs")

    async def wait_running(self, name: str, deadline_s: float) -> None:
        """Returns when the child is running; ChildFailedError when it failed, ended, or `deadline_s` passed."""
        child = self._children[name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while child.status.state not in (ChildState.RUNNING, ChildState.FAILED, ChildState.STOPPED):
                    await child.changed.wait()
        status = child.status
        if status.state is not ChildState.RUNNING:
            reason = status.detail or f"not ready after {deadline_s:g} s"
            lines = status.log_lines or log_tail(child.spec.log_path, child.log_start_bytes)
            raise ChildFailedError(name, f"{status.state}, {reason}", child.spec.log_path, lines)

    def status(self) -> list[ChildStatus]:
        """A snapshot of every child, in the order they were started."""
        return [child.status for child in self._children.values()]

    async def stop_child(self, name: str) -> None:
        """Stops one child: its stop signal, then SIGKILL after its deadline. It may be started again."""
        child = self._children[name]
        child.stop.set()
        if child.task is not None:
            await asyncio.wait({child.task})

    async def stop(self) -> None:
        """Stops all children, the last started first. May be called twice."""
        if self._log_task is not None:
            self._log_task.cancel()
            self._log_task = None
        for name in reversed(list(self._children)):
            await self.stop_child(name)

    async def _keep_running(self, child: _Child) -> None:
        try:
            while not child.stop.is_set():
                started_s = self._clock()
                ended = await self._run_once(child)
                if child.stop.is_set():
                    break
                child.deaths = self._policy.deaths_in_a_row(child.deaths, self._clock() - started_s)
                await self._back_off(child, ended)
        except EmbeddedError as error:
            # The probe found what no restart mends.
            self._change(child, ChildState.FAILED, detail=str(error))
        except Exception as error:
            # A defect in a readiness probe or a sweep must not look like a healthy child.
            self._change(child, ChildState.FAILED, detail=f"its supervision ended: {error!r}")
            raise
        else:
            self._change(child, ChildState.STOPPED, detail=child.status.detail)

    async def _back_off(self, child: _Child, ended: str) -> None:
        deaths = child.deaths
        delay_s = self._policy.delay_s(deaths)
        failed = deaths >= self._policy.failed_after
        self._change(
            child,
            ChildState.FAILED if failed else ChildState.BACKOFF,
            detail=f"{ended}; {deaths} {'death' if deaths == 1 else 'deaths in a row'}, next try in {delay_s:g} s",
            restarts=child.status.restarts + 1,
            log_lines=log_tail(child.spec.log_path, child.log_start_bytes),
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.stop.wait(), delay_s)

    async def _run_once(self, child: _Child) -> str:
        """One life of the child's process, from start to reaped; returns how it ended."""
        spec = child.spec
        if spec.sweep is not None:
            spec.sweep()
        try:
            rotate_log(spec.log_path)
            child.log_start_bytes = log_size_bytes(spec.log_path)
            process = spawn(spec.command, spec.log_path)
        except (OSError, subprocess.SubprocessError) as error:
            return f"could not be started: {error}"
        self._change(child, ChildState.STARTING, pid=process.pid)
        exited = asyncio.create_task(wait_for_exit(process))
        stop = asyncio.create_task(child.stop.wait())
        ready = asyncio.create_task(self._become_running(child, process.pid))
        try:
            await asyncio.wait({exited, stop, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and ready.exception() is None:
                await asyncio.wait({exited, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                ready.cancel()
                self._change(child, ChildState.STOPPING, pid=process.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, spec.stop_signal)
                await asyncio.wait({exited}, timeout=spec.stop_deadline_s)
        finally:
            for task in (exited, stop, ready):
                task.cancel()
            kill_group(process)  # all of it, after the deadline; what the process left behind, before it
            process.wait()
            if spec.sweep is not None:
                spec.sweep()
        if ready.done() and not ready.cancelled():
            ready.result()  # raises what the readiness probe raised
        return describe_exit(process.returncode)

    async def _become_running(self, child: _Child, pid: int) -> None:
        if child.spec.wait_ready is not None:
            await child.spec.wait_ready()
        self._change(child, ChildState.RUNNING, pid=pid)

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_INTERVAL_S)
            for child in self._children.values():
                with contextlib.suppress(OSError):  # a full disk must not end supervision; the next round retries
                    rotate_log(child.spec.log_path)

    def _change(
        self,
        child: _Child,
        state: ChildState,
        *,
        pid: int | None = None,
        detail: str = "",
        restarts: int | None = None,
        log_lines: tuple[str, ...] = (),
    ) -> None:
        count = child.status.restarts if restarts is None else restarts
        child.status = ChildStatus(child.spec.name, state, pid, count, self._now(), detail, log_lines)
        child.changed.set()
        child.changed = asyncio.Event()
        if self._on_change is not None:
            # Not called from here: an error of the observer must not end the supervision of a child.
            asyncio.get_running_loop().call_soon(self._on_change, child.status)
