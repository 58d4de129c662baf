"""Crash → restarted: SIGKILL of a real process until its successor runs, beside a one-second poll of the same crash."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console

from examples.shop.control import Shop
from services.cli.bench.bus import percentile
from services.cli.bench.results import Report, Row
from services.cli.demo.run import checkout, stage
from services.cli.local import LocalPlatform
from shared.packs import Pack, Playbook

COMPONENTS = ("worker", "catalog", "payments", "loadgen", "orders")
"""Each is killed once: soon after a repair an exit has to be confirmed before it counts; here each is a fresh one."""
RESTART_DEADLINE_S = 60.0
POLL_S = 1.0
ERRORS_ALLOWED = 5


async def run(_data: Path | None = None) -> Report:
    """The table of this area."""
    times: list[float] = []
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
        platform = LocalPlatform(Path(folder) / "data", extra_databases=["shop"])
        async with (
            platform,
            stage(platform, checkout(), Console(quiet=True), quiet=True, adapt=without_limits) as scene,
        ):
            for component in COMPONENTS:
                times.append(await crash(scene.shop, component))
                await scene.calm()
    phases = random.Random(len(COMPONENTS))
    polled = [await poll_restart(phases.uniform(0, POLL_S)) for _ in COMPONENTS]
    return Report(
        area="healing",
        at=datetime.now(UTC),
        title="Crash → restarted",
        notes="Milliseconds from SIGKILL of one of the shop's programs until its successor's process runs, "
        "detection, diagnosis, decision and backup included. The baseline is a supervisor that looks every second.",
        rows=[_row(f"Homeostat, {len(times)} crashes", times), _row(f"poll every {POLL_S:g} s", polled)],
    )


def without_limits(pack: Pack) -> Pack:
    """One shop is broken again and again: the limits and the rule that would rightly call a person are lifted; and
    so is that not one error may follow, since a busy machine fails a request now and then."""
    limits = {"max_attempts": 1_000_000, "actions_per_hour": 1_000_000, "component_actions_per_hour": 1_000_000}
    playbooks = {name: _lenient(book) for name, book in pack.playbooks.items()}
    again = (*pack.library_without, "process-crash-loop")
    update = {"policy": pack.policy.model_copy(update=limits), "playbooks": playbooks, "library_without": again}
    return pack.model_copy(update=update)


def _lenient(playbook: Playbook) -> Playbook:
    validation = playbook.validation.model_copy(update={"error_count_after": ERRORS_ALLOWED})
    return playbook.model_copy(update={"cooldown_s": 0.0, "validation": validation})


def _row(what: str, times: Sequence[float]) -> Row:
    return Row(what, {"p50 ms": percentile(times, 50) * 1e3, "max ms": max(times) * 1e3})


async def crash(shop: Shop, component: str) -> float:
    """Kills the component and waits for its successor; returns the seconds."""
    pid = shop.pid(component)
    assert pid is not None, f"{component} does not run"
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while time.perf_counter() - began < RESTART_DEADLINE_S:
        successor = shop.pid(component)
        if successor not in (None, pid) and psutil.pid_exists(int(successor or 0)):
            return time.perf_counter() - began
        await asyncio.sleep(0.002)
    raise RuntimeError(f"{component} was not restarted within {RESTART_DEADLINE_S:g} s")


async def poll_restart(phase_s: float) -> float:
    """A process killed `phase_s` after a look of a one-second poll that starts it again."""
    process = await asyncio.create_subprocess_exec("sleep", "60")
    looked_at = time.perf_counter()
    await asyncio.sleep(phase_s)
    began = time.perf_counter()
    process.kill()
    await process.wait()
    while time.perf_counter() - looked_at < POLL_S:
        await asyncio.sleep(0.002)
    successor = await asyncio.create_subprocess_exec("sleep", "60")
    taken = time.perf_counter() - began
    successor.kill()
    await successor.wait()
    return taken
