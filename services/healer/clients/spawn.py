"""Starting a declared process so that there is one of it, whatever dies in between.

A lock file beside the pid file is locked and handed to the child as an open file: the lock lives exactly as long
as the child does. So a repetition after a crash between starting the child and noting its pid finds the lock held
and looks up its holder instead of starting another one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from services.healer.clients.processes import Identity, ProcessError, from_pid_file, heir_of, identity_of
from shared.packs.model import Process

_INTERRUPTIONS = (signal.SIGHUP, signal.SIGINT)
_INHERITED = ("PATH", "LANG", "HOME")
_LOCK_TRIES = 50
_LOCK_INTERVAL_S = 0.02


def leave_signals_to_children() -> None:
    """Has children begin with the default for hangups and interrupts, even where the healer itself began without
    (under `nohup`, or in a script's background): a program keeps an ignored signal, but not a caught one.

    Call it from the main thread.
    """
    for name in _INTERRUPTIONS:
        if signal.getsignal(name) is signal.SIG_IGN:
            signal.signal(name, lambda *_: None)


@dataclass(frozen=True, slots=True)
class Started:
    """The process that runs now; `is_new` is False when it ran already."""

    identity: Identity
    is_new: bool


def running(process: Process) -> Identity | None:
    """The live process of the declaration, by its pid file, else by the lock that a process of ours holds.

    Raises:
        ProcessError: an unreadable pid file.
    """
    found = from_pid_file(process.pid_file)
    return found or (heir_of(lock_path(process)) if _is_locked(process) else None)


def lock_path(process: Process) -> str:
    return f"{process.pid_file}.lock"


def _is_locked(process: Process) -> bool:
    try:
        lock = os.open(lock_path(process), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


@dataclass(slots=True)
class Spawner:
    """Starts processes that outlive the healer, and takes the exit status of those that end before it."""

    environment: Mapping[str, str]
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    async def start(self, process: Process) -> Started:
        """Starts the declared process unless it runs.

        A held lock without a process that has it is tried again for a second: a child may be on its way to its
        program, or somebody else may be looking at the lock.

        Raises:
            ProcessError: it can't be started, or its lock is held by a process that can't be found.
        """
        for _ in range(_LOCK_TRIES):
            found = running(process)
            if found is not None:
                if from_pid_file(process.pid_file) is None:
                    _write_pid(process, found.pid)
                return Started(found, is_new=False)
            found = await asyncio.to_thread(self._spawn, process)
            if found is not None:
                return Started(found, is_new=True)
            await asyncio.sleep(_LOCK_INTERVAL_S)
        raise ProcessError(
            f"{lock_path(process)} is locked, but no process of this machine that may be seen was started with it: "
            "end whatever holds it, or remove the file"
        )

    def _spawn(self, process: Process) -> Identity | None:
        """Starts the process and notes its pid; None when somebody else holds the lock."""
        try:
            Path(process.pid_file).parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(lock_path(process), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ProcessError(f"can't open {lock_path(process)}: {error.strerror}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            child = self._popen(process, lock)
        finally:
            os.close(lock)  # the child's copy keeps the lock
        self._children[child.pid] = child
        identity = identity_of(child.pid)
        if identity is None:
            raise ProcessError(f"{process.command[0]} ended at once with status {child.poll()}: {_see_log(process)}")
        _write_pid(process, child.pid)
        return identity

    def _popen(self, process: Process, lock: int) -> subprocess.Popen[bytes]:
        base = {name: self.environment[name] for name in _INHERITED if name in self.environment}
        try:
            with _log_stream(process) as output:
                return subprocess.Popen(
                    process.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=process.cwd,
                    env={**base, **process.env},
                    pass_fds=(lock,),
                    start_new_session=True,
                )
        except OSError as error:
            raise ProcessError(f"can't start {process.command[0]}: {error.strerror} ({error.filename})") from error

    def reap(self) -> None:
        """Takes the exit status of children that ended, so that none stays as a zombie. Call it now and then."""
        for pid in [pid for pid, child in list(self._children.items()) if child.poll() is not None]:
            del self._children[pid]


def _log_stream(process: Process) -> _Output:
    if process.log_file is None:
        return _Output(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    Path(process.log_file).parent.mkdir(parents=True, exist_ok=True)
    return _Output(os.open(process.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))


@dataclass(slots=True)
class _Output:
    descriptor: int

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _see_log(process: Process) -> str:
    return f"see {process.log_file}" if process.log_file else "declare a `log_file` to see why"


def _write_pid(process: Process, pid: int) -> None:
    """Atomically: whoever reads the file sees a whole pid. The program may write the same value itself."""
    target = Path(process.pid_file)
    scratch = target.with_name(f".{target.name}.{token_hex(6)}.tmp")
    try:
        scratch.write_text(f"{pid}\n")
        scratch.replace(target)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise ProcessError(f"can't write pid file {target}: {error.strerror}") from error
