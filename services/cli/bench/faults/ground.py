"""The system under care while scenarios are played on it: how it is broken, looked at, and verifiably made whole."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import psutil

from examples.shop import supervise
from examples.shop.settings import COMPONENTS
from services.cli.bench.faults.fleet import NAMES, Fleet
from services.cli.bench.faults.judge import Snapshot
from services.cli.demo.run import Stage
from services.cli.local import LocalPlatform
from shared.contracts.base import CaseEvent
from shared.contracts.detector import Incident
from shared.contracts.healer import Outcome, Phase, Result, RunProgress
from shared.packs import Pack

CLEAN_WITHIN_S = 25.0
CALM_WITHIN_S = 60.0
RESTART_WITHIN_S = 30.0
PACK_SETTLES_S = 1.5
"""Every service has taken up a new pack, and every probe has looked once."""
BREAKER = "fault-injection"
"""How the suite's own database sessions call themselves."""


class GroundError(Exception):
    """The system could not be made whole again; the text says what is left."""


class Ground:
    """The shop under Homeostat's care."""

    def __init__(self, platform: LocalPlatform, scene: Stage, fleet: Fleet | None = None) -> None:
        self.fleet = fleet
        self.platform = platform
        self.scene = scene
        self.shop = scene.shop
        self.settings = scene.shop.settings
        self.recorder = scene.recorder
        self.recorder.on_event = self._heard
        self.original = self.settings.payments_config.read_bytes()
        self.forbidden_until: datetime | None = None
        self.started: Counter[str] = Counter()
        self.at_rollback: dict[str, bytes] = {}
        self._pack = scene.pack
        self._tasks: list[asyncio.Task[None]] = []
        self._undo = AsyncExitStack()

    # ---- what faults are made of

    def pid(self, component: str) -> int:
        """Raises GroundError when the component does not run."""
        pid = self.shop.pid(component)
        if pid is None:
            raise GroundError(f"{component} does not run: nothing to break")
        return pid

    def kill(self, component: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(component), number)

    def write_config(self, content: bytes, *, reload: bool = True) -> None:
        """As an operator does: the file, then SIGHUP."""
        self.settings.payments_config.write_bytes(content)
        if reload:
            self.kill("payments", signal.SIGHUP)

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Goes on beside the scenario, and ends with it at the latest."""
        self._tasks.append(asyncio.create_task(work))

    def undo(self, work: Callable[[], Awaitable[object]]) -> None:
        """Is done when the scenario is over, whatever came of it."""
        self._undo.push_async_callback(work)

    async def database(self, *, superuser: bool = False) -> asyncpg.Connection[asyncpg.Record]:
        """A session of the suite's own, closed when the scenario is over."""
        dsn = self.platform.dsn("shop")
        if superuser:
            dsn = self.platform.servers.postgres_dsn("postgres", "shop")
        session = await asyncpg.connect(dsn, server_settings={"application_name": BREAKER}, timeout=5)
        self.undo(lambda: _close(session))
        return session

    def api(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.platform.token}"}
        return httpx.AsyncClient(base_url=self.platform.gateway_url, headers=headers, timeout=10)

    @property
    def kill_switch(self) -> Path:
        return self.platform.data_dir.run / "kill-switch"

    # ---- looking

    async def until(self, condition: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
        """True as soon as the condition, which may read files and processes, holds."""
        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(every_s)
        return True

    def snapshot(self) -> Snapshot:
        starts = {component: self.shop.starts(component) for component in COMPONENTS}
        path = self.settings.payments_config
        return Snapshot(starts, path.read_bytes() if path.is_file() else b"")

    def broken(self, components: tuple[str, ...]) -> list[str]:
        """What of these components, or for customers, is not as it should be."""
        found = [
            f"{entry.component} is {entry.state}{'' if entry.healthy else ' and not healthy'}"
            for entry in supervise.status(self.settings)
            if entry.component in components and not entry.healthy
        ]
        if self.fleet is not None:
            found += [problem for problem in self.fleet.problems() if problem.split()[1] in components]
        for method, path, body in (("GET", "/products", None), ("POST", "/orders", b'{"sku": "sku-001"}')):
            try:
                status, answer = supervise.request(self.settings, "edge", method, path, body)
            except OSError as problem:
                found.append(f"customers: {method} {path}: {problem}")
                continue
            if status not in (200, 201):
                found.append(f"customers: {method} {path} gives {status} {answer[:80].decode(errors='replace')}")
        return found

    def problems(self) -> list[str]:
        """What differs from the state before any fault; empty when nothing does."""
        found = self.broken((*COMPONENTS, *NAMES))
        if self.snapshot().config != self.original:
            found.append("payments.toml differs from its original bytes")
        if self.kill_switch.exists():
            found.append("the kill switch is on")
        return found

    # ---- between scenarios

    async def calm(self) -> None:
        """Until no incident is open and nothing is being repaired. Raises GroundError when that takes too long."""
        if not await self.recorder.wait_for(lambda: not self._open_cases(), CALM_WITHIN_S):
            raise GroundError(f"still open after {CALM_WITHIN_S:g} s: {', '.join(sorted(self._open_cases()))}")

    async def make_whole(self) -> None:
        """Undoes what nobody healed, and verifies it. Raises GroundError naming what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._undo.aclose()
        self._undo = AsyncExitStack()
        await asyncio.to_thread(self._mend)
        if not await self.until(lambda: not self.problems(), CLEAN_WITHIN_S, every_s=0.2):
            raise GroundError(f"not clean: {'; '.join(await asyncio.to_thread(self.problems))}")
        self.kill_switch.unlink(missing_ok=True)
        self.forbidden_until = None
        self.started.clear()
        self.at_rollback.clear()
        await self.calm()

    async def apply(self, adapt: Callable[[Pack], Pack] | None) -> None:
        """Puts another pack in force, or (None) the suite's again."""
        pack = self._pack if adapt is None else adapt(self._pack)
        if pack == self.scene.pack:
            return
        self.scene.pack = pack
        body = pack.model_dump(mode="json", by_alias=True, exclude_none=True)
        async with self.api() as client:
            (await client.post("/api/packs/apply", json=body)).raise_for_status()
        await asyncio.sleep(PACK_SETTLES_S)
        await self.calm()

    def _mend(self) -> None:
        for process in supervise.processes(self.settings).values():
            if process.status() == psutil.STATUS_STOPPED:
                process.resume()
        # The kill switch goes last: until all is whole, nobody else is to begin mending.
        for component in COMPONENTS:
            if not supervise.answers(self.settings, component, "/healthz", timeout_s=2.0):
                self._restart(component)
        if self.fleet is not None:
            self.fleet.mend()
        if self.snapshot().config != self.original or self.broken(()):
            self.write_config(self.original)
        self.kill_switch.unlink(missing_ok=True)
        self.shop.reap()

    def _restart(self, component: str) -> None:
        try:
            self.shop.restart(component, RESTART_WITHIN_S)
        except supervise.ShopError as error:
            raise GroundError(str(error)) from error

    def _open_cases(self) -> set[str]:
        """What is under way, by words for people."""
        cases: dict[UUID, str] = {}
        for event in self.recorder.events:
            if isinstance(event, Incident) and event.is_open:
                cases[event.case_id] = f"{event.pattern} on {event.component}"
            elif isinstance(event, Incident):
                cases.pop(event.case_id, None)
            elif isinstance(event, RunProgress) and event.phase in (Phase.QUEUED, Phase.PLANNED):
                cases[event.decision_id] = f"{event.playbook} on {event.component}"
            elif isinstance(event, Outcome):
                cases.pop(event.decision_id, None)
        return set(cases.values())

    def _heard(self, event: CaseEvent) -> None:
        if isinstance(event, Outcome) and event.result is Result.ROLLED_BACK:
            self.at_rollback[str(event.decision_id)] = self.snapshot().config


async def _close(session: asyncpg.Connection[asyncpg.Record]) -> None:
    session.terminate()


def now() -> datetime:
    return datetime.now(UTC)
