"""Processes that die, hang, starve or are kept from starting."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable

import psutil

from services.cli.bench.faults.ground import Ground, GroundError
from services.cli.bench.faults.scenario import Deed

LEAK_S = 3.0
THIEF_WAITS_S = 5.0


def kill(component: str, number: signal.Signals = signal.SIGKILL) -> Deed:
    """SIGKILL: gone without a word. SIGSEGV, SIGABRT: by its own fault. SIGTERM: it ends with status 0."""

    async def strike(ground: Ground) -> None:
        ground.kill(component, number)

    return strike


def hang(component: str) -> Deed:
    """SIGSTOP: alive, and answers nothing."""
    return kill(component, signal.SIGSTOP)


def all_of(*deeds: Deed, apart_s: float = 0.0) -> Deed:
    """One after the other, at once or with a pause between them."""

    async def strike(ground: Ground) -> None:
        for number, deed in enumerate(deeds):
            if number and apart_s:
                await asyncio.sleep(apart_s)
            await deed(ground)

    return strike


def out_of_memory(component: str) -> Deed:
    """Grows for some seconds, and is then killed as the kernel kills what took too much."""

    async def strike(ground: Ground) -> None:
        ground.kill(component, signal.SIGUSR1)
        await asyncio.sleep(LEAK_S)
        ground.kill(component)

    return strike


def leak(component: str) -> Deed:
    return kill(component, signal.SIGUSR1)


def stutter(component: str, *, stopped_s: float, running_s: float) -> Deed:
    """Stopped and let run in turns: slow, but neither gone nor silent."""

    async def work(ground: Ground) -> None:
        process = psutil.Process(ground.pid(component))
        try:
            while process.is_running():
                process.suspend()
                await asyncio.sleep(stopped_s)
                process.resume()
                await asyncio.sleep(running_s)
        except psutil.NoSuchProcess:
            return

    async def strike(ground: Ground) -> None:
        ground.later(work(ground))

    return strike


def no_more_files(component: str) -> Deed:
    """As many files open as it may have: it takes no new connection."""

    async def strike(ground: Ground) -> None:
        process = psutil.Process(ground.pid(component))
        hard = process.rlimit(resource.RLIMIT_NOFILE)[1]
        process.rlimit(resource.RLIMIT_NOFILE, (max(process.num_fds() - 3, 8), hard))

    return strike


def stolen_port(component: str) -> Deed:
    """It dies, and a stranger takes its port before anybody can start it again."""

    async def strike(ground: Ground) -> None:
        taken = threading.Event()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = (ground.settings.bind_host, ground.settings.port(component))
        thief = threading.Thread(target=_take, args=(listener, address, taken), daemon=True)
        thief.start()
        ground.kill(component)
        if not await asyncio.to_thread(taken.wait, THIEF_WAITS_S):
            raise GroundError(f"the port of {component} could not be taken")

        async def give_back() -> None:
            listener.close()

        ground.undo(give_back)

    return strike


def _take(listener: socket.socket, address: tuple[str, int], taken: threading.Event) -> None:
    deadline = time.monotonic() + THIEF_WAITS_S
    while time.monotonic() < deadline:
        try:
            listener.bind(address)
            listener.listen(1)
        except OSError:
            continue
        taken.set()
        return


def again(component: str, *, times: int, lives_s: float, deed: Callable[[str], Deed] = kill) -> Deed:
    """Struck anew each time somebody has brought it back and it has lived for `lives_s`."""

    async def work(ground: Ground) -> None:
        for _ in range(times):
            former = ground.pid(component)
            await deed(component)(ground)
            while ground.shop.pid(component) in (None, former):
                await asyncio.sleep(0.02)
            await asyncio.sleep(lives_s)

    async def strike(ground: Ground) -> None:
        ground.later(work(ground))

    return strike


def restart_by_hand(component: str, *, away_s: float) -> Deed:
    """What a person does in a deployment: it is stopped, and started again a moment later."""

    async def strike(ground: Ground) -> None:
        ground.kill(component, signal.SIGTERM)
        await asyncio.sleep(away_s)
        if ground.shop.pid(component) is None:
            ground.started[component] += 1
            await asyncio.to_thread(ground.shop.restart, component)

    return strike
