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
from tests.chaos.rounds import Plan, play


async def main(rounds: int, seed: int) -> bool:
    console = Console()
    console.print(f"seed {seed}: `python -m tests.chaos --rounds {rounds} --seed {seed}` draws the same rounds")
    rng = random.Random(seed)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="homeostat-chaos-") as folder:
        platform = LocalPlatform(Path(folder) / "data")
        # A server of the shop's own: what is killed is Homeostat's, and a shop without its database would rightly fail.
        servers = EmbeddedServers(Path(folder) / "shop", databases=[PostgresDatabase("shop", "shop")])
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(servers)
            await stack.enter_async_context(platform)
            shop = stage(
                *(platform, checkout(), console),
                quiet=True,
                adapt=without_limits,
                database_url=servers.postgres_dsn("shop", "shop"),
            )
            scene = await stack.enter_async_context(shop)
            client = await nats.connect(
                platform.servers.nats_url("admin"), max_reconnect_attempts=-1, error_cb=ignore_error
            )
            for number in range(1, rounds + 1):
                plan = Plan.draw(rng)
                verdict = await play(platform, scene.shop, client, plan)
                failed += bool(verdict.problems)
                mark = "[red]FAILED[/red]" if verdict.problems else "[green]ok[/green]"
                console.print(f"{number:4}/{rounds} {mark} {plan}; healed after {verdict.healed_after_s:.1f} s")
                for problem in verdict.problems:
                    console.print(f"       {problem}")
                if verdict.problems:
                    _keep_logs(Path(folder), number, console)
                await scene.calm()
            await client.close()
        left = [
            p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if folder in " ".join(p.info["cmdline"] or ())
        ]
        if left:
            console.print(f"[red]processes left behind:[/red] {left}")
            failed += 1
    console.print(f"{rounds - failed} passed, {failed} failed")
    return not failed


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
    arguments = parser.parse_args()
    try:
        raise SystemExit(0 if run_stoppable(main(arguments.rounds, arguments.seed)) else 1)
    except asyncio.CancelledError:
        raise SystemExit(130) from None
