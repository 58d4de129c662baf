# ruff: noqa: ASYNC220, ASYNC240 - small files and real processes are what these tests are about
"""process.*: exactly one process, whatever is repeated or interrupted, and no signal to a stranger."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from services.healer.clients import spawn
from services.healer.clients.base import ActuatorError, Context, IrreversibleError
from services.healer.clients.process_actuators import (
    ProcessReload,
    ProcessRestart,
    ProcessStart,
    ProcessStop,
    declared,
    signal_named,
)
from services.healer.clients.processes import Identity, ProcessError, from_pid_file, identity_of
from services.healer.clients.spawn import Spawner, leave_signals_to_children, running
from shared.packs.component import Component, Process
from tests.unit.healer.helpers import stubborn


def count(process: Process) -> int:
    """How many processes run the declared command."""
    wanted = b"\0".join(part.encode() for part in process.command) + b"\0"
    found = 0
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with suppress(OSError):
                found += Path(f"/proc/{entry}/cmdline").read_bytes() == wanted and identity_of(int(entry)) is not None
    return found


async def until(condition: object, deadline_s: float = 5.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def process(tmp_path: Path, process: Process) -> Process:
    """A command line that no other test has, so that its processes can be counted."""
    return process.model_copy(update={"command": ("sleep", f"600.{os.getpid()}{abs(hash(tmp_path)) % 10**9}")})


async def test_start_writes_the_pid_file_and_the_child_is_detached(
    context: Context, spawner: Spawner, process: Process
) -> None:
    start = ProcessStart(context, spawner, process)
    done = await start.apply(await start.observe())
    found = from_pid_file(process.pid_file)
    assert found is not None
    assert done.changed
    assert os.getsid(found.pid) == found.pid
    assert os.readlink(f"/proc/{found.pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{found.pid}/fd/1") == process.log_file


async def test_start_twice_runs_one(context: Context, spawner: Spawner, process: Process) -> None:
    start = ProcessStart(context, spawner, process)
    seen = await start.observe()
    await start.apply(seen)
    again = await start.apply(seen)
    assert not again.changed
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command


async def test_two_healers_starting_at_once_run_one(process: Process) -> None:
    spawners = [Spawner(dict(os.environ)) for _ in range(6)]
    started = await asyncio.gather(*(one.start(process) for one in spawners))
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command
    assert len({one.identity for one in started}) == 1
    assert sum(one.is_new for one in started) == 1


async def test_environment_is_minimal_plus_declared(
    spawner: Spawner, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = Spawner({"PATH": os.environ["PATH"], "HOME": "/", "HOMEOSTAT_POSTGRES_PASSWORD": "secret"})
    found = (await spawner.start(process.model_copy(update={"env": {"PORT": "8080"}}))).identity
    environ = Path(f"/proc/{found.pid}/environ")
    await until(lambda: b"PORT" in environ.read_bytes())
    assert sorted(environ.read_bytes().strip(b"\0").split(b"\0")) == sorted(
        [b"HOME=/", b"PATH=" + os.environb[b"PATH"], b"PORT=8080"]
    )


async def test_a_program_hears_hangups_even_when_the_healer_began_without(spawner: Spawner, process: Process) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        leave_signals_to_children()
        found = (await spawner.start(process)).identity
    finally:
        signal.signal(signal.SIGHUP, before)
    await until(lambda: count(process) == 1)
    status = Path(f"/proc/{found.pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    assert not ignored & 1 << (signal.SIGHUP - 1)


async def test_restart_replaces_exactly_the_process_that_was_seen(
    context: Context, spawner: Spawner, process: Process
) -> None:
    old = (await spawner.start(process)).identity
    restart = ProcessRestart(context, spawner, process)
    await restart.apply(await restart.observe())
    new = from_pid_file(process.pid_file)
    assert new is not None
    assert new != old
    assert not old.is_alive
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command


async def test_a_repeated_restart_leaves_the_new_process_alone(
    context: Context, spawner: Spawner, process: Process
) -> None:
    await spawner.start(process)
    restart = ProcessRestart(context, spawner, process)
    seen = await restart.observe()
    await restart.apply(seen)
    new = from_pid_file(process.pid_file)
    again = await restart.apply(seen)
    assert not again.changed
    assert "already restarted" in again.detail
    assert from_pid_file(process.pid_file) == new


async def test_restart_does_not_touch_what_somebody_else_restarted(
    context: Context, spawner: Spawner, process: Process
) -> None:
    old = (await spawner.start(process)).identity
    restart = ProcessRestart(context, spawner, process)
    seen = await restart.observe()
    os.kill(old.pid, signal.SIGKILL)
    await until(lambda: not old.is_alive)
    others = subprocess.Popen(process.command)
    try:
        Path(process.pid_file).write_text(f"{others.pid}\n")
        done = await restart.apply(seen)
        assert not done.changed
        assert others.poll() is None
        await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command
    finally:
        others.kill()
        others.wait()


async def test_a_crash_between_start_and_pid_file_does_not_start_another(
    context: Context, spawner: Spawner, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        """The healer is killed."""

    def crash(_process: Process, _pid: int) -> None:
        raise Crash

    start = ProcessStart(context, spawner, process)
    seen = await start.observe()
    with monkeypatch.context() as patched:
        patched.setattr(spawn, "_write_pid", crash)
        with pytest.raises(Crash):
            await start.apply(seen)
    assert not Path(process.pid_file).exists()
    successor = ProcessStart(context, Spawner(dict(os.environ)), process)
    done = await successor.apply(seen)
    assert not done.changed
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command
    assert from_pid_file(process.pid_file) is not None


async def test_a_suspended_process_is_replaced_without_waiting_for_the_stop_timeout(
    context: Context, spawner: Spawner, process: Process
) -> None:
    old = (await spawner.start(process)).identity
    os.kill(old.pid, signal.SIGSTOP)
    await until(lambda: old.is_stopped)
    restart = ProcessRestart(context, spawner, process)
    began = time.monotonic()
    await restart.apply(await restart.observe())
    assert time.monotonic() - began < process.stop_timeout_s / 2
    assert not old.is_alive
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command


async def test_a_process_that_ignores_sigterm_is_killed_after_the_stop_timeout(
    context: Context, spawner: Spawner, process: Process, tmp_path: Path
) -> None:
    process = process.model_copy(update={"command": stubborn(tmp_path), "stop_timeout_s": 0.2})
    old = (await spawner.start(process)).identity
    await until((tmp_path / "ready").exists)
    stop = ProcessStop(context, spawner, process)
    done = await stop.apply(await stop.observe())
    assert "SIGKILL" in done.detail
    assert not old.is_alive


async def test_a_pid_file_older_than_its_process_means_nobody(process: Process) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        path = Path(process.pid_file)
        path.parent.mkdir(parents=True)
        path.write_text(str(stranger.pid))
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
        assert from_pid_file(process.pid_file) is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "0", "1", "-5", "999999999"])
def test_a_pid_file_that_names_no_process_means_nobody(process: Process, content: str) -> None:
    path = Path(process.pid_file)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert from_pid_file(process.pid_file) is None


def test_a_pid_file_with_nonsense_is_an_error_that_names_it(process: Process) -> None:
    path = Path(process.pid_file)
    path.parent.mkdir(parents=True)
    path.write_text("nginx")
    with pytest.raises(ProcessError, match=r"web\.pid"):
        from_pid_file(process.pid_file)


async def test_a_reused_pid_is_not_signalled(context: Context, spawner: Spawner, process: Process) -> None:
    stranger = (await spawner.start(process)).identity
    old = Identity(stranger.pid, stranger.start_ticks - 1)
    stop = ProcessStop(context, spawner, process)
    done = await stop.apply({"pid": old.pid, "start_ticks": old.start_ticks, "stopped": False})
    assert "ended already" in done.detail
    assert stranger.is_alive


async def test_reload_signals_and_needs_a_running_process(
    context: Context, spawner: Spawner, process: Process, tmp_path: Path
) -> None:
    mark, ready = tmp_path / "reloaded", tmp_path / "ready"
    program = (
        "import pathlib, signal, time\n"
        f"signal.signal(signal.SIGHUP, lambda *_: pathlib.Path({str(mark)!r}).touch())\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "while True: time.sleep(0.05)"
    )  # no shell: one can't trap a signal that was ignored when it began, as under nohup
    process = process.model_copy(update={"command": (sys.executable, "-c", program)})
    reload = ProcessReload(context, spawner, process, signal_named(None))
    with pytest.raises(ActuatorError, match="not running"):
        await reload.apply(await reload.observe())
    await spawner.start(process)
    await until(ready.exists)
    await reload.apply(await reload.observe())
    await until(mark.exists)


async def test_undoing_a_stop_starts_and_a_start_is_never_undone_by_stopping(
    context: Context, spawner: Spawner, process: Process
) -> None:
    start, stop = ProcessStart(context, spawner, process), ProcessStop(context, spawner, process)
    before_start = await start.observe()
    await start.apply(before_start)
    before_stop = await stop.observe()
    await stop.apply(before_stop)
    assert running(process) is None
    await stop.undo(before_stop, await stop.observe(), files_restored=False)
    assert running(process) is not None
    with pytest.raises(IrreversibleError, match="left running"):
        await start.undo(before_start, await start.observe(), files_restored=False)
    assert running(process) is not None


async def test_a_restart_is_undone_only_for_the_sake_of_restored_files(
    context: Context, spawner: Spawner, process: Process
) -> None:
    restart = ProcessRestart(context, spawner, process)
    before = await restart.observe()
    await restart.apply(before)
    first = running(process)
    with pytest.raises(IrreversibleError):
        await restart.undo(before, await restart.observe(), files_restored=False)
    assert running(process) == first
    await restart.undo(before, await restart.observe(), files_restored=True)
    assert running(process) not in {None, first}
    await until(lambda: count(process) == 1)  # a child that was just forked still bears its parent's command


async def test_a_command_that_does_not_exist_is_named(context: Context, spawner: Spawner, process: Process) -> None:
    process = process.model_copy(update={"command": ("/no/such/program",)})
    start = ProcessStart(context, spawner, process)
    with pytest.raises(ActuatorError, match=r"can't start /no/such/program"):
        await start.apply(await start.observe())
    assert running(process) is None


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "SIGTERM", "HUP", "9"])
def test_reload_refuses_signals_that_end_or_mean_nothing(name: str) -> None:
    with pytest.raises(ActuatorError, match=name):
        signal_named(name)


def test_a_component_without_a_process_is_told_what_to_declare(context: Context) -> None:
    from dataclasses import replace

    with pytest.raises(ActuatorError, match="declares no process"):
        declared(replace(context, target=Component()))
