"""Starting one child process so that it cannot outlive us, and learning of its end from the kernel, not by polling.

The parent's death reaches the child as a signal (Linux, PR_SET_PDEATHSIG): it works even after SIGKILL of the
parent, when nobody is left to clean up. Elsewhere children are only stopped by an orderly exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
LOG_MAX_BYTES = 16 * 1024 * 1024
LOG_TAIL_BYTES = 16 * 1024
LOG_TAIL_LINES = 12

# Looked up before any fork: loading a library between fork and exec could deadlock.
_prctl: Callable[..., int] | None = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """The user a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """What to run. `env` None inherits ours; `identity` None keeps our user; `death_signal` arrives if we die."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    identity: Identity | None = None
    death_signal: signal.Signals = signal.SIGKILL


def unprivileged_identity(user: str) -> Identity | None:
    """The identity servers drop to when we are root; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(user)
    return Identity(entry.pw_uid, entry.pw_gid)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel send `death_signal` to the child when the thread that forked it ends."""
    parent_pid = os.getpid()

    def in_child() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent_pid:  # the parent died before the line above: no signal will come
                os._exit(1)

    return in_child


def spawn(command: Command, log_path: Path) -> subprocess.Popen[bytes]:
    """Starts the command in its own session, its output appended to `log_path`.

    Raises OSError when it cannot be executed, RuntimeError outside the main thread: the kernel ties the death
    signal to the thread that forked, and only the main thread lives as long as the process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children must be started from the main thread, or they would die with the thread")
    user = command.identity
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
            # Runs after the change of user, which would clear the death signal.
            preexec_fn=die_with_parent(command.death_signal),
        )


async def wait_for_exit(process: subprocess.Popen[bytes]) -> None:
    """Returns when the process has ended. Where the kernel has pidfds it is not reaped yet: its pid stays ours."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        await asyncio.to_thread(process.wait)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def await_end(pid: int, timeout_s: float) -> None:
    """Blocks until a killed process that is not our child has died, reaped or not; at most `timeout_s` seconds."""
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):  # gone already, or no pidfds here: a killed process dies in a moment
        return
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(timeout_s * 1000)
    finally:
        os.close(pidfd)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and to what it started in its group. Call it before the process is reaped."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left (macOS says it with EPERM)
        os.killpg(process.pid, signal.SIGKILL)


async def run_to_end(command: Command, log_path: Path, timeout_s: float) -> int:
    """Runs a command once and returns its exit status; TimeoutError (and the command killed) after `timeout_s`."""
    process = spawn(command, log_path)
    try:
        async with asyncio.timeout(timeout_s):
            await wait_for_exit(process)
    finally:
        kill_group(process)
        process.wait()
    return process.returncode


def describe_exit(returncode: int) -> str:
    """The end of a process in words: `exit status 1`, `killed by SIGKILL`."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


def rotate_log(path: Path, max_bytes: int = LOG_MAX_BYTES) -> None:
    """Moves a log that has outgrown `max_bytes` to `<name>.1`, so that two files bound what a child can fill.

    The file is copied and emptied, not renamed: the child holds it open, in append mode.
    """
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def log_size_bytes(path: Path) -> int:
    """Where a child that starts now begins to write."""
    return path.stat().st_size if path.exists() else 0


def log_tail(path: Path, since_bytes: int = 0) -> tuple[str, ...]:
    """The last lines of a log, of what was written after `since_bytes` only."""
    if not path.exists():
        return ()
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        start = since_bytes if since_bytes <= size else 0  # it was rotated meanwhile
        log.seek(max(start, size - LOG_TAIL_BYTES))
        lines = log.read().decode("utf-8", "replace").splitlines()
    return tuple(lines[-LOG_TAIL_LINES:])
