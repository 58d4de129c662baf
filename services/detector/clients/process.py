"""Watches a process by its pid file: its end is an event, not something found at the next poll."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.detector.clients import kernel
from services.detector.clients.reports import Reports, Seen, gauges
from shared.contracts.ingest import CheckKind, CheckResult
from shared.packs.model import Probe

REUSED_SLACK_S = 2.0
"""A process that started this much later than its pid file was written has inherited another's number."""
CONFIRM_S = 0.5
"""A changed state is looked at again after this time, however rarely the probe looks otherwise."""
OOM_REMARK = "; the kernel has just killed a process of this machine for lack of memory"


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What tells two versions of a pid file apart without reading them."""

    inode: int
    modified_ns: int
    size: int


class ProcessProber:
    """A pidfd becomes readable the moment its process ends, whoever its parent is (pidfd_open(2))."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.process is not None
        self._probe, self._reports = probe, reports
        self._path = Path(probe.process.pid_file)
        self._stamp: _Stamp | None = None
        self._pid: int | None = None
        self._pidfd: int | None = None
        self._process: psutil.Process | None = None
        self._gone = ""
        """What is known of the end of the last process."""
        self._oom_kills: int | None = None
        """The machine's count when the process was last looked at."""
        self._last: CheckResult | None = None
        self._confirm_at: float | None = None
        self._telling: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """The present state, and what the process uses."""
        self._follow()
        await self._tell(self._seen())
        if self._process is not None:
            self._oom_kills = kernel.oom_kills()
            await self._reports.metrics(self._probe.component, gauges(self._uses(self._process)))

    async def poll(self) -> None:
        """Cheap and often: another process in the pid file, or one that was stopped or continued."""
        self._follow()
        seen = self._seen()
        now = asyncio.get_running_loop().time()
        due = self._confirm_at is not None and now >= self._confirm_at
        if seen.result is not self._last or due:
            self._confirm_at = None if due and seen.result is self._last else now + CONFIRM_S
            await self._tell(seen)

    async def close(self) -> None:
        self._let_go()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _tell(self, seen: Seen) -> None:
        self._last = seen.result
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.PROCESS, seen)

    # ---- which process

    def _follow(self) -> None:
        """Takes up the process that the pid file names now, if it has changed."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp = None
            if self._pidfd is None and not self._gone:
                self._gone = "no pid file"
            return
        stamp = _Stamp(status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        text = self._path.read_text(encoding="ascii", errors="replace").strip()
        if not text:
            return  # being written: the next poll reads it
        self._stamp = stamp
        self._let_go()
        if not text.isdecimal():
            self._gone = f"{self._path} holds no pid"
            return
        self._hold(int(text), status.st_mtime)

    def _hold(self, pid: int, written_at: float) -> None:
        self._gone = f"process {pid} does not exist"
        try:
            pidfd = os.pidfd_open(pid)
        except (ProcessLookupError, OverflowError):
            return
        try:
            process = psutil.Process(pid)
            reused = process.create_time() > written_at + REUSED_SLACK_S
            process.cpu_percent(None)  # the first call only marks the start of the measurement
        except psutil.Error:
            os.close(pidfd)
            return
        if reused:
            os.close(pidfd)
            self._gone = f"process {pid} has gone and its number was given to another"
            return
        self._pid, self._pidfd, self._process, self._gone = pid, pidfd, process, ""
        self._oom_kills = kernel.oom_kills()
        asyncio.get_running_loop().add_reader(pidfd, self._ended)

    def _ended(self) -> None:
        pid = self._pid
        self._let_go()
        kills = kernel.oom_kills()
        starved = kills is not None and self._oom_kills is not None and kills > self._oom_kills
        self._gone = f"process {pid} has exited" + (OOM_REMARK if starved else "")
        task = asyncio.get_running_loop().create_task(self._tell(self._seen()))
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._last = None  # couldn't be published: the next poll tells it

    def _let_go(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._pid = self._pidfd = self._process = None

    # ---- its state

    def _seen(self) -> Seen:
        if self._pid is None:
            never = self._gone == "no pid file" or self._gone.endswith("holds no pid")
            return Seen(CheckResult.ERROR if never else CheckResult.EXITED, detail=self._gone)
        state = process_state(self._pid)
        if state in ("", "Z", "X"):
            return Seen(CheckResult.EXITED, detail=f"process {self._pid} has exited")
        if state == "T":
            return Seen(CheckResult.STOPPED, detail=f"process {self._pid} is stopped by a signal")
        return Seen(CheckResult.OK)

    def _uses(self, process: psutil.Process) -> dict[str, float]:
        try:
            with process.oneshot():
                values = {
                    "cpu_percent": process.cpu_percent(None),
                    "resident_memory_bytes": float(process.memory_info().rss),
                    "threads": float(process.num_threads()),
                }
        except psutil.Error:
            return {}
        try:  # of another user's process, only a privileged detector may know
            values["open_files"] = float(process.num_fds())
        except psutil.Error:
            return values
        limit = kernel.descriptor_limit(process.pid)
        if limit:
            values["open_files_ratio"] = values["open_files"] / limit
        return values


def process_state(pid: int) -> str:
    """One letter as in proc(5): R, S, D, T, Z, …; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]  # the name before may hold anything, brackets included
