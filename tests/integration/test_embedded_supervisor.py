"""The supervisor against real processes: restarts, failure reports, orderly stops, nobody left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from shared.embedded import (
    ChildFailedError,
    ChildSpec,
    ChildState,
    ChildStatus,
    Command,
    RestartPolicy,
    Supervisor,
)
from shared.embedded.processes import spawn

SLEEPER = ("sleep", "600")
IMPATIENT = RestartPolicy(initial_s=0.01, max_s=0.1, failed_after=3)


def child(tmp_path: Path, name: str, *argv: str, **options: object) -> ChildSpec:
    return ChildSpec(name=name, command=Command(argv), log_path=tmp_path / f"{name}.log", **options)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def until(condition: Callable[[], object], deadline_s: float = 5.0) -> None:
    async with asyncio.timeout(deadline_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def pid_of(supervisor: Supervisor, name: str) -> int:
    (pid,) = [status.pid for status in supervisor.status() if status.name == name]
    assert pid is not None
    return pid


async def test_a_killed_child_is_back_fast_and_counted(tmp_path: Path) -> None:
    seen: list[ChildStatus] = []
    async with Supervisor(on_change=seen.append) as supervisor:
        supervisor.start(child(tmp_path, "a", *SLEEPER))
        await supervisor.wait_running("a", 5)
        first = pid_of(supervisor, "a")
        killed_s = time.monotonic()
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].restarts == 1)
        await supervisor.wait_running("a", 5)
        assert time.monotonic() - killed_s < 1
        assert pid_of(supervisor, "a") != first
    backoff = [status for status in seen if status.state is ChildState.BACKOFF]
    assert "killed by SIGKILL" in backoff[0].detail
    assert [status.state for status in seen][-2:] == [ChildState.STOPPING, ChildState.STOPPED]


async def test_a_child_that_keeps_dying_is_reported_with_its_last_words_and_retried(tmp_path: Path) -> None:
    script = f"echo out of cheese; [ -e {tmp_path}/mended ] && exec sleep 600; exit 7"
    async with Supervisor(policy=IMPATIENT) as supervisor:
        supervisor.start(
            child(tmp_path, "a", "sh", "-c", script, wait_ready=lambda: until((tmp_path / "mended").exists))
        )
        with pytest.raises(
            ChildFailedError, match=r"a did not start: failed, exit status 7; 3 deaths in a row"
        ) as failed:
            await supervisor.wait_running("a", 5)
        assert failed.value.log_lines == ("out of cheese",)
        assert supervisor.status()[0].log_lines == ("out of cheese",)
        (tmp_path / "mended").touch()
        await until(lambda: supervisor.status()[0].state is ChildState.RUNNING)


async def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    async with Supervisor(policy=IMPATIENT) as supervisor:
        supervisor.start(child(tmp_path, "a", "/no/such/program"))
        with pytest.raises(ChildFailedError, match=r"could not be started.*No such file"):
            await supervisor.wait_running("a", 5)


async def test_a_child_runs_only_once_it_is_ready(tmp_path: Path) -> None:
    ready = asyncio.Event()

    async def wait_ready() -> None:
        await ready.wait()

    async with Supervisor() as supervisor:
        supervisor.start(child(tmp_path, "a", *SLEEPER, wait_ready=wait_ready))
        with pytest.raises(ChildFailedError, match=r"starting, not ready after 0\.05 s"):
            await supervisor.wait_running("a", 0.05)
        ready.set()
        await supervisor.wait_running("a", 5)


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    seen: list[ChildStatus] = []
    async with Supervisor(on_change=seen.append) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(child(tmp_path, name, *SLEEPER))
            await supervisor.wait_running(name, 5)
    stopped = [status.name for status in seen if status.state is ChildState.STOPPED]
    assert stopped == ["third", "second", "first"]


async def test_a_child_that_ignores_the_stop_signal_is_killed_after_its_deadline(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 600; done"
    log = tmp_path / "a.log"
    async with Supervisor() as supervisor:
        supervisor.start(
            child(
                tmp_path,
                "a",
                "sh",
                "-c",
                script,
                stop_deadline_s=0.2,
                wait_ready=lambda: until(lambda: log.stat().st_size),
            )
        )
        await supervisor.wait_running("a", 5)
        pid = pid_of(supervisor, "a")
        began_s = time.monotonic()
    assert 0.2 <= time.monotonic() - began_s < 3
    assert not alive(pid)


@pytest.mark.parametrize("end", ["stop", "death"])
async def test_what_a_child_leaves_in_its_group_goes_with_it(tmp_path: Path, end: str) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/helper; exec sleep 600"
    helper = tmp_path / "helper"
    async with Supervisor() as supervisor:
        supervisor.start(
            child(
                tmp_path,
                "a",
                "sh",
                "-c",
                script,
                wait_ready=lambda: until(lambda: helper.exists() and helper.read_text()),
            )
        )
        await supervisor.wait_running("a", 5)
        left = int(helper.read_text())
        assert alive(left)
        if end == "death":
            os.kill(pid_of(supervisor, "a"), signal.SIGKILL)
            await until(lambda: supervisor.status()[0].restarts == 1)
    await until(lambda: not alive(left))


async def test_a_stopped_child_may_be_started_again_and_a_running_one_may_not(tmp_path: Path) -> None:
    spec = child(tmp_path, "a", *SLEEPER)
    async with Supervisor() as supervisor:
        supervisor.start(spec)
        with pytest.raises(ValueError, match="running already"):
            supervisor.start(spec)
        await supervisor.wait_running("a", 5)
        await supervisor.stop_child("a")
        assert supervisor.status()[0].state is ChildState.STOPPED
        supervisor.start(spec)
        await supervisor.wait_running("a", 5)


async def test_stopping_ends_a_wait_for_a_restart(tmp_path: Path) -> None:
    async with Supervisor(policy=RestartPolicy(initial_s=60, max_s=60)) as supervisor:
        supervisor.start(child(tmp_path, "a", "false"))
        await until(lambda: supervisor.status()[0].state is ChildState.BACKOFF)
        async with asyncio.timeout(2):
            await supervisor.stop()


async def test_a_defective_probe_is_reported_and_leaves_no_process(tmp_path: Path) -> None:
    async def wait_ready() -> None:
        raise ZeroDivisionError("broken probe")

    seen: list[ChildStatus] = []
    supervisor = Supervisor(on_change=seen.append)
    supervisor.start(child(tmp_path, "a", *SLEEPER, wait_ready=wait_ready))
    with pytest.raises(ChildFailedError, match="broken probe"):
        await supervisor.wait_running("a", 5)
    await supervisor.stop()
    (pid,) = {status.pid for status in seen if status.pid is not None}
    assert not alive(pid)


async def test_an_error_of_the_observer_does_not_end_supervision(tmp_path: Path) -> None:
    def observer(status: ChildStatus) -> None:
        raise RuntimeError("observer is broken")

    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    try:
        async with Supervisor(on_change=observer) as supervisor:
            supervisor.start(child(tmp_path, "a", *SLEEPER))
            await supervisor.wait_running("a", 5)
            os.kill(pid_of(supervisor, "a"), signal.SIGKILL)
            await until(lambda: supervisor.status()[0].restarts == 1)
            await supervisor.wait_running("a", 5)
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert "observer is broken" in reported


def test_children_are_refused_outside_the_main_thread(tmp_path: Path) -> None:
    caught: list[RuntimeError] = []

    def run() -> None:
        try:
            spawn(Command(SLEEPER), tmp_path / "log")
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


PARENT = """
import asyncio, sys
from pathlib import Path
from shared.embedded import ChildSpec, Command, Supervisor

async def main():
    supervisor = Supervisor()
    for name in ("a", "b"):
        supervisor.start(ChildSpec(name, Command(("sleep", "600")), Path(sys.argv[1]) / name))
        await supervisor.wait_running(name, 5)
    print(*[status.pid for status in supervisor.status()], flush=True)
    await asyncio.sleep(600)

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
async def test_no_child_outlives_its_supervisor(tmp_path: Path, loop: str, how: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path), loop),
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pids = [int(word) for word in (await parent.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.send_signal(how)
        await parent.wait()
    await until(lambda: not any(alive(pid) for pid in pids), deadline_s=2)
