"""The demo from start to end: platform, shop, pack, five scenarios, report."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console

from services.cli.demo import report
from services.cli.demo.recorder import Recorder
from services.cli.demo.scenario import Row, Scenarios
from services.cli.demo.signals import Signals
from services.cli.demo.timeline import line
from services.cli.local import LocalPlatform
from services.cli.stoppable import run_stoppable
from shared.contracts.base import CaseEvent
from shared.embedded import ChildStatus
from shared.packs import Pack
from shared.packs.load import load_pack

FAULTS = ("crash", "hang", "bad-config", "leak")
BURSTS_S = 30.0
WARM_UP_S = 8.0
"""Long enough for a first look at every signal, and for one busy and one quiet stretch of traffic to begin."""


class DemoError(Exception):
    """The demo could not be run; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    data_dir: Path
    report: Path
    keep_running: bool


def checkout() -> Path:
    """The folder that holds `examples/` and `packs/`.

    Raises:
        DemoError: this is not a checkout.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "examples" / "shop").is_dir() and (folder / "packs" / "shop.yaml").is_file():
            return folder
    raise DemoError("examples/shop is not here: run the demo in a checkout of Homeostat")


async def run(options: Options, console: Console) -> bool:
    """True when every fault was healed and validated and the bursts were left alone."""
    root = checkout()
    began = time.monotonic()
    if (options.data_dir / "homeostat.json").is_file():
        shutil.rmtree(options.data_dir)
    async with AsyncExitStack() as stack:
        platform = LocalPlatform(
            options.data_dir,
            extra_databases=["shop"],
            on_progress=_ticker(console),
            on_change=_restarts(console),
        )
        await stack.enter_async_context(platform)
        scene = await stack.enter_async_context(stage(platform, root, console))
        console.print(f"ready after {time.monotonic() - began:.1f} s; now the shop is broken on purpose\n")
        rows = await scene.play()
        lines = [_plain(event, scene.began) for event in scene.recorder.events]
        report.write_page(options.report, rows, scene.requests(), scene.signals, scene.limit_bytes, lines)
        console.print()
        console.print(report.table(rows))
        good = all(row.healed and row.cause_is_right for row in rows)
        console.print(f"report: {options.report}; it took {time.monotonic() - began:.0f} s")
        if example := next((row.case_id for row in rows if row.case_id), ""):
            console.print(
                f"the whole story of one case: `homeostat up --data-dir {options.data_dir}`, then in another terminal "
                f"`homeostat trace {example} --data-dir {options.data_dir}`"
            )
        if options.keep_running:
            console.print(f"still running at {platform.gateway_url}; Ctrl-C stops everything")
            await asyncio.Event().wait()
    return good


class Stage:
    """The shop under Homeostat's care, and everything that watches both."""

    def __init__(
        self, platform: LocalPlatform, root: Path, console: Console, quiet: bool, database_url: str | None
    ) -> None:
        from examples.shop.control import Shop

        self.began = datetime.now(UTC)
        self._console = console
        self._platform = platform
        base_port = free_block(16)  # the shop, and what is practised on
        data_dir = platform.data_dir.path / "shop"
        self.shop = Shop(data_dir, base_port, database_url or platform.dsn("shop"))
        names = ("edge", "catalog", "orders", "payments", "provider_a", "provider_b", "worker", "loadgen")
        self.variables = {
            "data_dir": str(data_dir),
            "python": sys.executable,
            "root": str(root),
            "base_port": str(base_port),
            "practice_port": str(base_port + 8),
            **{f"{name}_url": f"http://127.0.0.1:{base_port + index}" for index, name in enumerate(names)},
        }
        self.pack: Pack = load_pack(root / "packs" / "shop.yaml", self.variables)
        self.recorder = Recorder() if quiet else Recorder(on_event=self._show)
        self.signals = Signals("catalog")

    @property
    def limit_bytes(self) -> float:
        return self.pack.limits[0].value

    async def play(self) -> list[Row]:
        scenarios = Scenarios(self.shop, self.recorder, self._say)
        rows = [await scenarios.fault(name) for name in FAULTS]
        rows.append(await scenarios.bursts(BURSTS_S))
        return rows

    def requests(self) -> list[report.Request]:
        """Every request of customers since the shop opened."""
        path = self.shop.settings.requests_file
        records = [json.loads(text) for text in path.read_text().splitlines() if text.endswith("}")]
        return [report.Request(datetime.fromisoformat(record["at"]), bool(record["ok"])) for record in records]

    async def calm(self) -> None:
        """Until no incident is open and nothing is being repaired."""
        await Scenarios(self.shop, self.recorder, self._say).calm()

    async def open(self) -> None:
        """Until nothing is wrong and every signal has been looked at for a while."""
        await self._apply_pack()
        await asyncio.sleep(WARM_UP_S)
        await self.calm()

    async def let_go(self) -> None:
        """Takes the shop out of Homeostat's care: what is closed on purpose must not be opened again."""
        with suppress(httpx.HTTPError):
            async with self._gateway() as client:
                await client.delete(f"/api/packs/{self.pack.pack}")
            await self.calm()

    def _gateway(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._platform.token}"}
        return httpx.AsyncClient(base_url=self._platform.gateway_url, headers=headers, timeout=10)

    async def _apply_pack(self) -> None:
        body = self.pack.model_dump(mode="json", by_alias=True, exclude_none=True)
        async with self._gateway() as client:
            response = await client.post("/api/packs/apply", json=body)
        if response.is_error:
            raise DemoError(f"the gateway refused the pack: {response.text}")
        self._console.print(f"[green]✓[/green] pack {self.pack.pack} applied (mode {self.pack.mode})")

    def _show(self, event: CaseEvent) -> None:
        self._console.print(line(event, self.began), soft_wrap=True)

    def _say(self, text: str) -> None:
        seconds = (datetime.now(UTC) - self.began).total_seconds()
        self._console.print(f"[dim]{seconds:7.2f} s[/dim] [bold]{text}[/bold]")


@asynccontextmanager
async def stage(
    platform: LocalPlatform,
    root: Path,
    console: Console,
    *,
    quiet: bool = False,
    adapt: Callable[[Pack], Pack] = lambda pack: pack,
    database_url: str | None = None,
) -> AsyncIterator[Stage]:
    """The shop, open and under the care of `platform` with its (adapted) pack; closed at the end in any case.

    `database_url`: of the shop's own database, if it doesn't lie on the platform's server.
    """
    scene = Stage(platform, root, console, quiet, database_url)
    scene.pack = adapt(scene.pack)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, scene.shop.stop)
        stack.push_async_callback(scene.let_go)
        await asyncio.to_thread(scene.shop.start)
        console.print("[green]✓[/green] the shop is open")
        await scene.recorder.start(platform.servers.nats_url("publisher"))
        stack.push_async_callback(scene.recorder.stop)
        sampling = asyncio.create_task(scene.signals.sample(scene.shop))
        stack.callback(sampling.cancel)
        await scene.open()
        yield scene


def _plain(event: CaseEvent, began: datetime) -> str:
    from rich.text import Text

    return Text.from_markup(line(event, began)).plain


def _ticker(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"[green]✓[/green] {text}", highlight=False)


def _restarts(console: Console) -> Callable[[ChildStatus], None]:
    def show(status: ChildStatus) -> None:
        if status.restarts:
            console.print(f"[yellow]{status.name} {status.state}: {status.detail}[/yellow]")

    return show


def free_block(count: int) -> int:
    """The first of `count` neighbouring free ports below the ephemeral range."""
    import random
    import socket

    for base in random.SystemRandom().sample(range(10_000, 30_000, count), 200):
        sockets: list[socket.socket] = []
        with suppress(OSError):
            for port in range(base, base + count):
                listener = socket.socket()
                sockets.append(listener)
                listener.bind(("127.0.0.1", port))
        for listener in sockets:
            listener.close()
        if len(sockets) == count:
            return base
    raise DemoError(f"no {count} neighbouring free ports between 10000 and 30000: stop what uses them")


def main(options: Options, console: Console) -> bool:
    """Runs the demo; Ctrl-C ends it cleanly."""
    return run_stoppable(run(options, console))
