"""Containers that are killed, paused, fail, fall ill or are taken away."""

from __future__ import annotations

import asyncio
import os
import signal

from services.cli.bench.faults.fleet import Fleet, docker, state_of
from services.cli.bench.faults.ground import Ground, GroundError
from services.cli.bench.faults.scenario import Deed


def _fleet(ground: Ground) -> Fleet:
    if ground.fleet is None:
        raise GroundError("there are no containers in this act")
    return ground.fleet


def told(name: str, *command: str) -> Deed:
    """One command of the engine: `kill`, `pause`, `rm --force`."""

    async def strike(ground: Ground) -> None:
        container = _fleet(ground).container(name)
        await asyncio.to_thread(docker, *command, container)

    return strike


def killed(name: str, number: signal.Signals = signal.SIGKILL) -> Deed:
    """Its first process dies as of itself: the engine has not been told to end it."""

    async def strike(ground: Ground) -> None:
        state = await asyncio.to_thread(state_of, _fleet(ground).container(name))
        os.kill(int(state["Pid"]), number)

    return strike


def ill(name: str) -> Deed:
    """It runs, and its own health check says that it doesn't work."""

    async def strike(ground: Ground) -> None:
        await asyncio.to_thread(docker, "exec", _fleet(ground).container(name), "touch", "/ill")

    return strike
