"""`python -m tests.chaos --rounds 200 [--seed N]`: exit 0 only if every round ended with its incident healed once."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import psutil
from rich.console import Console

from services.cli.bench.healing import without_limits
from services.cli.demo.recorder import ignore_error
from services.cli.demo.run import checkout, stage
from services.cli.local import LocalPlatform
from services.cli.stoppable import run_stoppable
from shared.embedded import EmbeddedServers, PostgresDatabase
from tests.chaos.rounds import Plan, Verdict, play

type Round = tuple[int, Plan]


async def main(rounds: int, seed: int, at_once: int) -> bool:
    console = Console()
    console.print(f"seed {seed}: `python -m tests.chaos --rounds {rounds} --seed {seed}` draws the same rounds")
    rng = random.Random(seed)
    plans = [(number, Plan.draw(rng)) for number in range(1, rounds + 1)]
    with tempfile.TemporaryDirectory(prefix="homeostat-chaos-") as folder:
        starting = asyncio.Lock()  # migrations of one process can't run side by side
        async with asyncio.TaskGroup() as group:
            scenes = [
                group.create_task(play_all(Path(folder) / str(k), plans[k::at_once], rounds, console, starting))
                for k in range(at_once)
            ]
        failed = sum(scene.result() for scene in scenes)
        left = [
            p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if folder in " ".join(p.info["cmdline"] or ())
        ]
        if left:
            console.print(f"[red]processes left behind:[/red] {left}")
            failed += 1
    console.print(f"{rounds - failed} passed, {failed} failed")
    return not failed


async def play_all(folder: Path, plans: list[Round], rounds: int, console: Console, starting: asyncio.Lock) -> int:
    """Plays its rounds on a platform and a shop of its own; gives how many failed."""
    failed = 0
    platform = LocalPlatform(folder / "data")
    # A server of the shop's own: what is killed is Homeostat's, and a shop without its database would rightly fail.
    servers = EmbeddedServers(folder / "shop", databases=[PostgresDatabase("shop", "shop")])
    async with AsyncExitStack() as stack:
        async with starting:
            await stack.enter_async_context(servers)
            await stack.enter_async_context(platform)
        shop = stage(
            *(platform, checkout(), Console(quiet=True)),
            quiet=True,
            adapt=without_limits,
            database_url=servers.postgres_dsn("shop", "shop"),
        )
        scene = await stack.enter_async_context(shop)
        client = await nats.connect(
            platform.servers.nats_url("admin"), max_reconnect_attempts=-1, error_cb=ignore_error
        )
        for number, plan in plans:
            verdict = await play(platform, scene.shop, client, plan)
            failed += bool(verdict.problems)
            _tell(console, f"{number:4}/{rounds}", plan, verdict)
            if verdict.problems:
                _keep_logs(folder, number, console)
            await scene.calm()
        await client.close()
    return failed


def _tell(console: Console, place: str, plan: Plan, verdict: Verdict) -> None:
    mark = "[red]FAILED[/red]" if verdict.problems else "[green]ok[/green]"
    console.print(f"{place} {mark} {plan}; healed after {verdict.healed_after_s:.1f} s")
    for problem in verdict.problems:
        console.print(f"       {problem}")


def _keep_logs(folder: Path, number: int, console: Console) -> None:
    """Keeps the services' logs of a failed round where the temporary folder's end doesn't take them."""
    kept = Path(tempfile.mkdtemp(prefix=f"homeostat-chaos-round-{number}-"))
    for log in (folder / "data" / "logs").glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    console.print(f"       logs kept in {kept}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--at-once", type=int, default=1, help="platforms side by side, each with rounds of its own")
    arguments = parser.parse_args()
    try:
        done = run_stoppable(main(arguments.rounds, arguments.seed, arguments.at_once))
        raise SystemExit(0 if done else 1)
    except asyncio.CancelledError:
        raise SystemExit(130) from None
