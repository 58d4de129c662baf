"""The same crashes of the same program, brought back by others: monit with a poll of a second, and Docker's restart
policy. Crash → started (the successor announces itself) and → serving (it answers), by the same watch for all."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from examples.shop import supervise
from examples.shop.control import Shop
from examples.shop.settings import Settings
from services.cli.bench.bus import percentile
from services.cli.bench.faults.fleet import IMAGE, docker, engine_answers, state_of
from services.cli.bench.faults.pack import suite_pack
from services.cli.bench.results import Row
from services.cli.demo.run import checkout, free_block, stage
from services.cli.local import LocalPlatform

ROOT = Path(__file__).resolve().parents[4]
COMPONENT = "catalog"
CRASHES = 7
BACK_WITHIN_S = 60.0
LOOK_S = 0.004
AFTER_A_REPAIR_S = 17.0
"""Homeostat confirms an exit that follows a repair within 16 s: each crash here is a fresh one."""
ENGINE_FORGETS_S = 11.0
"""The engine waits longer before each restart, until a container has run for ten seconds."""
MONIT_SETTLES_S = 3.0
PR_SET_CHILD_SUBREAPER = 36


class RivalError(Exception):
    """A rival could not be measured; the text says why."""


@dataclass
class Times:
    """Seconds from each crash until the successor's process had begun, and until it answered."""

    started_s: list[float] = field(default_factory=list)
    serving_s: list[float] = field(default_factory=list)

    def row(self, what: str) -> Row:
        figures = {"n": float(len(self.started_s))}
        for name, values in (("acted", self.started_s), ("serving", self.serving_s)):
            figures |= {f"{name} p50 s": percentile(values, 50), f"{name} p95 s": percentile(values, 95)}
        return Row(what, figures)


async def crash(settings: Settings, pid: int, times: Times) -> None:
    """SIGKILL, watched until the component serves again. Raises RivalError when it doesn't."""
    before = _starts(settings)
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while _starts(settings) == before:
        _reap(pid)
        await _wait(began)
    times.started_s.append(time.perf_counter() - began)
    while not await asyncio.to_thread(supervise.answers, settings, COMPONENT, "/healthz", 2.0):
        await _wait(began)
    times.serving_s.append(time.perf_counter() - began)


async def _wait(began: float) -> None:
    if time.perf_counter() - began > BACK_WITHIN_S:
        raise RivalError(f"{COMPONENT} did not come back within {BACK_WITHIN_S:g} s")
    await asyncio.sleep(LOOK_S)


def _starts(settings: Settings) -> int:
    """Bytes of the journal in which each process writes a line as soon as it listens."""
    return settings.starts_file.stat().st_size


def _pid(settings: Settings) -> int:
    process = supervise.find(settings, COMPONENT)
    if process is None:
        raise RivalError(f"{COMPONENT} does not run")
    return process.pid


def _reap(pid: int) -> None:
    """As a zombie it would keep its pid, and a supervisor that looks at pids would wait for ever."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _adopt_orphans() -> None:
    """What a supervisor starts and lets go becomes this process's child, to be reaped here: in a container the first
    process often reaps nobody."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise RivalError(f"orphans can't be adopted: {os.strerror(ctypes.get_errno())}")


async def homeostat(shop: Shop, crashes: int = CRASHES) -> Times:
    """With the shop under its care."""
    times = Times()
    for _ in range(crashes):
        await asyncio.sleep(AFTER_A_REPAIR_S)
        await crash(shop.settings, _pid(shop.settings), times)
    return times


async def monit(shop: Shop, folder: Path, crashes: int = CRASHES) -> Times:
    """With the shop in nobody else's care."""
    phases = random.Random(crashes)
    times = Times()
    async with _monit(shop.settings, folder):
        for _ in range(crashes):
            await asyncio.sleep(MONIT_SETTLES_S + phases.random())
            await crash(shop.settings, _pid(shop.settings), times)
    return times


@asynccontextmanager
async def _monit(settings: Settings, folder: Path) -> AsyncIterator[None]:
    """In the foreground, with a configuration and a state of its own, for as long as it is needed."""
    control = _monit_control(settings, folder)
    _adopt_orphans()
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec("monit", "-I", "-c", str(control), stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def _monit_control(settings: Settings, folder: Path) -> Path:
    """It gives what it starts hardly any environment, and looks at nothing else before that has ended: hence a script
    that lets the program go."""
    folder.mkdir(mode=0o700)
    script, control = folder / "start", folder / "monitrc"
    command = [sys.executable, "-m", "examples.shop", "serve", COMPONENT]
    command += ["--data-dir", str(settings.data_dir), "--base-port", str(settings.base_port)]
    start = f"PYTHONPATH={ROOT} setsid {' '.join(command)} </dev/null >{folder}/out 2>&1 &"
    script.write_text(f"#!/bin/sh\ncd {ROOT} && {start}\n")
    script.chmod(0o700)
    control.write_text(
        f"set daemon 1\nset log {folder}/log\nset pidfile {folder}/pid\nset idfile {folder}/id\n"
        f"set statefile {folder}/state\n"
        f'check process {COMPONENT} with pidfile "{settings.pid_file(COMPONENT)}"\n  start program = "{script}"\n'
    )
    control.chmod(0o600)
    return control


async def restart_policy(folder: Path, port: int, crashes: int = CRASHES) -> Times:
    """The same program in a container that the engine restarts by itself."""
    settings = Settings.load(folder, port)
    supervise.write_defaults(settings)
    settings.starts_file.parent.mkdir(parents=True, exist_ok=True)
    settings.starts_file.touch()
    name = f"homeostat-rival-{uuid4().hex[:8]}"
    libraries = sysconfig.get_path("purelib")
    mounts = [f"{ROOT}/examples:/shop/examples:ro", f"{libraries}:/libraries:ro", f"{folder}:{folder}"]
    arguments = [part for mount in mounts for part in ("--volume", mount)]
    arguments += ["--env", "PYTHONPATH=/shop:/libraries", "--workdir", "/shop", "--network", "host"]
    command = ["python", "-m", "examples.shop", "serve", COMPONENT, "--data-dir", str(folder), "--base-port", str(port)]
    times = Times()
    try:
        await asyncio.to_thread(
            docker, "run", "--detach", "--restart", "always", "--name", name, *arguments, IMAGE, *command
        )
        began = time.perf_counter()
        while not await asyncio.to_thread(supervise.answers, settings, COMPONENT, "/healthz", 2.0):
            await _wait(began)
        for _ in range(crashes):
            await asyncio.sleep(ENGINE_FORGETS_S)
            pid = int((await asyncio.to_thread(state_of, name))["Pid"])
            await crash(settings, pid, times)
    finally:
        await asyncio.to_thread(docker, "rm", "--force", name)
    return times


async def compare(say: Callable[[str], None], crashes: int = CRASHES) -> list[Row]:
    """One row each, in one run on one machine; who isn't there is said to be missing, and in CI that is an error."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="homeostat-rivals-") as name:
        folder = Path(name)
        platform = LocalPlatform(folder / "data", extra_databases=["shop"])
        async with platform, stage(platform, checkout(), Console(quiet=True), quiet=True, adapt=suite_pack) as scene:
            rows.append((await homeostat(scene.shop, crashes)).row(f"crash of {COMPONENT}: Homeostat"))
            await scene.let_go()
            if _is_here("monit", shutil.which("monit") is not None, say):
                rows.append((await monit(scene.shop, folder / "monit", crashes)).row("same: monit, poll of 1 s"))
            if _is_here("a Docker engine", engine_answers(), say):
                times = await restart_policy(folder / "rival", free_block(8), crashes)
                rows.append(times.row("same program: Docker, restart always"))
    return rows


def _is_here(what: str, there: bool, say: Callable[[str], None]) -> bool:
    if not there and os.environ.get("CI") == "true":
        raise RivalError(f"{what} is not here: CI measures beside it")
    if not there:
        say(f"[yellow]{what} is not here: not measured beside it[/yellow]")
    return there
