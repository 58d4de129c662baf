"""Processes by identity, not by number: a pid is reused, a pid with its start time is not.

Signals go through a pidfd, so that they reach the process that was looked at or nobody.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CLOCK_SLACK_S = 2.0
_DEAD_STATES = frozenset("ZXx")
_STOPPED_STATES = frozenset("Tt")
KILL_WAIT_S = 5.0


class ProcessError(Exception):
    """A process can't be found, signalled or ended; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One run of one program on this machine since it booted."""

    pid: int
    start_ticks: int

    @property
    def is_alive(self) -> bool:
        status = _status(self.pid)
        return status is not None and status.start_ticks == self.start_ticks and status.state not in _DEAD_STATES

    @property
    def is_stopped(self) -> bool:
        """Suspended by a signal (state T)."""
        status = _status(self.pid)
        return status is not None and status.start_ticks == self.start_ticks and status.state in _STOPPED_STATES


@dataclass(frozen=True, slots=True)
class _Status:
    state: str
    parent: int
    start_ticks: int


def _status(pid: int) -> _Status | None:
    """From `/proc/<pid>/stat`; the name in parentheses may hold anything, so fields are counted from its end."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Status(fields[0], int(fields[1]), int(fields[19]))


def identity_of(pid: int) -> Identity | None:
    """The live process with this pid; None for none (a zombie is none)."""
    status = _status(pid)
    return Identity(pid, status.start_ticks) if status and status.state not in _DEAD_STATES else None


def from_pid_file(pid_file: str) -> Identity | None:
    """The live process that the pid file means; None when there is none.

    A process that began after the file was written has only inherited the number from the one that wrote it, and
    must not be touched.

    Raises:
        ProcessError: the file can't be read, or holds no pid.
    """
    path = Path(pid_file)
    try:
        content, written_at = path.read_text(), path.stat().st_mtime
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProcessError(f"can't read pid file {pid_file}: {error.strerror}") from error
    if not content.strip():
        return None  # being written by a program that doesn't do so atomically
    try:
        pid = int(content)
    except ValueError:
        raise ProcessError(f"pid file {pid_file} holds {content[:40]!r} instead of a pid in decimal") from None
    found = identity_of(pid) if pid > 1 else None
    if found is None or _started_at(found) > written_at + _CLOCK_SLACK_S:
        return None
    return found


def _started_at(identity: Identity) -> float:
    """Unix time at which the process began, to about a second."""
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + identity.start_ticks / _TICKS_PER_S


def heir_of(path: str) -> Identity | None:
    """The live process that was started with the file open: of several the one that is no child of another.

    An inherited file lacks the close-on-exec flag, with which everybody else opens files.
    """
    try:
        wanted = os.stat(path)
    except FileNotFoundError:
        return None
    holders = {pid for pid in _pids() if _has_inherited(pid, wanted)}
    for pid in sorted(holders):
        status = _status(pid)
        if status and status.parent not in holders and status.state not in _DEAD_STATES:
            return Identity(pid, status.start_ticks)
    return None


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())


def _has_inherited(pid: int, wanted: os.stat_result) -> bool:
    with suppress(OSError):  # it has ended, or belongs to somebody else
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.path.samestat(entry.stat(), wanted) and not _closes_on_exec(pid, entry.name):
                    return True
    return False


def _closes_on_exec(pid: int, descriptor: str) -> bool:
    info = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
    flags = next(line.split()[1] for line in info.splitlines() if line.startswith("flags:"))
    return bool(int(flags, 8) & os.O_CLOEXEC)


@contextmanager
def _pinned(identity: Identity) -> Iterator[int | None]:
    """A pidfd that means exactly this process for as long as it is open; None when it is gone."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield pidfd if identity.is_alive else None
    finally:
        os.close(pidfd)


def send(identity: Identity, signal_number: signal.Signals) -> bool:
    """Sends a signal to exactly this process; False when it is gone.

    Raises:
        ProcessError: it belongs to somebody else.
    """
    with _pinned(identity) as pidfd:
        return pidfd is not None and _send(pidfd, identity, signal_number)


def _send(pidfd: int, identity: Identity, signal_number: signal.Signals) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signal_number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise ProcessError(
            f"may not signal process {identity.pid}: run the healer as the user that owns it, or as root"
        ) from error
    return True


async def end(identity: Identity, stop_timeout_s: float) -> str:
    """Ends exactly this process: asks with SIGTERM, insists with SIGKILL; returns how it went, in words.

    A suspended process is woken after the SIGTERM is pending, so that it leaves in good order as well.

    Raises:
        ProcessError: it belongs to somebody else, or outlives SIGKILL.
    """
    with _pinned(identity) as pidfd:
        if pidfd is None or not _send(pidfd, identity, signal.SIGTERM):
            return "had ended already"
        if identity.is_stopped:
            _send(pidfd, identity, signal.SIGCONT)
        if await _ended(pidfd, stop_timeout_s):
            return "ended on SIGTERM"
        _send(pidfd, identity, signal.SIGKILL)
        if await _ended(pidfd, KILL_WAIT_S):
            return f"ended on SIGKILL after {stop_timeout_s:g} s"
    raise ProcessError(f"process {identity.pid} did not end within {KILL_WAIT_S:g} s after SIGKILL: look at its state")


async def _ended(pidfd: int, timeout_s: float) -> bool:
    """A pidfd becomes readable when its process ends."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def settle() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(pidfd, settle)
    try:
        async with asyncio.timeout(timeout_s):
            await ended
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True
