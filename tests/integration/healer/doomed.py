"""A healer in a process of its own that kills itself at a named point: `python -m tests.integration.healer.doomed`.

`DOOM` is `<before|after> <durable step>`, or the name of a point within a step; empty: it lives. `DOOM_WHEN` names a
file that it waits for before it kills itself at a durable step.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from services.healer import app
from services.healer.clients import files, process_actuators, processes, redis_actuators, row_changes, spawn
from services.healer.clients.processes import Identity
from services.healer.settings import Settings
from services.healer.workflows import durability, preparing
from services.healer.workflows.records import Record
from shared.runtime import serve

DOOM = os.environ.get("DOOM", "")


async def told() -> None:
    while (when := os.environ.get("DOOM_WHEN")) and not os.path.exists(when):  # noqa: ASYNC240 - a test's helper
        await asyncio.sleep(0.02)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def doom_durable_steps() -> None:
    when, _, name = DOOM.partition(" ")
    real = durability.durable

    async def durable[R: Record](step: str, kind: type[R], work: Callable[[], Awaitable[R]]) -> R:
        async def doomed() -> R:
            if step == name and when == "before":
                die()
            left = await work()
            if step == name and when == "after":
                await told()
                die()
            return left

        return await real(step, kind, doomed)

    durability.durable = durable


def doom_points() -> None:
    if DOOM == "child started, pid not noted":
        spawn._write_pid = lambda _process, _pid: die()
    if DOOM == "file renamed":
        files._sync_directory = lambda _directory: die()
    if DOOM == "old process ended":
        real = processes.end

        async def end(identity: Identity, stop_timeout_s: float) -> str:
            await real(identity, stop_timeout_s)
            die()
            return ""

        process_actuators.processes.end = end


def doom_data() -> None:
    """Points within steps that keep data, change it, or put it back."""
    for point, owner, name in (
        ("copy kept", preparing.Toolbox, "_keep"),
        ("rows committed", row_changes.RowChanges, "apply"),
        ("rows put back", row_changes.RowChanges, "undo"),
        ("keys deleted", redis_actuators, "_delete_as_seen"),
        ("keys put back", redis_actuators, "_restore"),
    ):
        if point == DOOM:
            setattr(owner, name, then_die(getattr(owner, name)))


def then_die[**P, R](real: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    async def doomed(*args: P.args, **kwargs: P.kwargs) -> R:
        done = await real(*args, **kwargs)
        die()
        return done

    return doomed


if __name__ == "__main__":
    doom_durable_steps()
    doom_points()
    doom_data()
    serve(lambda: app.build(Settings(log_level="WARNING")))
