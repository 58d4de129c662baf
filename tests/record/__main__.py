"""`python -m tests.record --out DIR [--only sessions …]`: breaks real programs one way after the other, and records.

Each system is broken by itself, several systems side by side; Homeostat only watches. Needs root (for a file system of
its own), a Docker engine, redis-server and openssl. What it writes can be moved into `tests/patterns/recorded/`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from services.cli.local import LocalPlatform
from tests.record import caches, containers, databases, machines, shop
from tests.record.failures import Failure, System

CALM_S = 90.0
"""Ordinary running before the first failure and after each."""
KEPT_BEFORE_S = 75
STANDING = {
    "sessions": caches.system,
    "ledger": databases.system,
    "boxes": containers.system,
    "machine": machines.system,
}


def main(work: Path, out: Path, only: Sequence[str]) -> None:
    with ExitStack() as stack:
        systems = [stack.enter_context(make(work / name)) for name, make in STANDING.items() if name in only]
        asyncio.run(watch(systems, work, out, with_shop="shop" in only))


async def watch(systems: Sequence[System], work: Path, out: Path, *, with_shop: bool) -> None:
    environment = {name: value for system in systems for name, value in system.environment.items()}
    platform = LocalPlatform(work / "data", extra_databases=["shop"], environment=environment)
    async with platform:
        with ExitStack() as stack:
            watched = [*systems]
            if with_shop:
                watched.append(stack.enter_context(shop.system(work / "shop", platform.dsn("shop"))))
            ended = threading.Event()
            try:
                await asyncio.gather(*(asyncio.to_thread(play, platform, system, out, ended) for system in watched))
            finally:
                ended.set()


def play(platform: LocalPlatform, system: System, out: Path, ended: threading.Event) -> None:
    """Every failure of a system in turn, until `ended`: whatever is broken then is mended first."""
    apply(platform, system)
    if ended.wait(CALM_S):
        return
    for failure in system.failures:
        onset = datetime.now(UTC)
        print(f"{onset:%H:%M:%S} {failure.name}", flush=True)
        mend = failure.strike()
        ended.wait(failure.hold_s)
        mend()
        recovered = datetime.now(UTC)
        if ended.wait(CALM_S):
            return
        record(platform, system, failure, onset, recovered, out)


def apply(platform: LocalPlatform, system: System) -> None:
    headers = {"Authorization": f"Bearer {platform.token}"}
    answer = httpx.post(f"{platform.gateway_url}/api/packs/apply", json=system.pack, headers=headers, timeout=30)
    if answer.is_error:
        raise RuntimeError(f"the pack {system.pack['pack']} was refused: {answer.text}")


def record(
    platform: LocalPlatform, system: System, failure: Failure, onset: datetime, recovered: datetime, out: Path
) -> None:
    command = [sys.executable, "-m", "services.cli", "record", failure.name, "--component", failure.component]
    command += [word for cause in failure.causes for word in ("--cause", cause.value)]
    command += [word for other in failure.also for word in ("--also", other)]
    command += ["--severity", failure.severity.value] if failure.severity else []
    command += ["--onset", onset.isoformat(), "--recovered", recovered.isoformat(), "--before", f"{KEPT_BEFORE_S}s"]
    command += ["--pack", system.pack["pack"], "--group", f"recorded: {system.pack['pack']}", "--deadline", "2m"]
    command += ["--out", str(out), "--data-dir", str(platform.data_dir.path)]
    subprocess.run(command, check=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.record", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/srv/record"), help="where the programs live meanwhile")
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--only", nargs="+", default=[*STANDING, "shop"], choices=[*STANDING, "shop"])
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    os.umask(0o022)
    main(given.work, given.out.resolve(), given.only)
