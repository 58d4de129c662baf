"""`homeostat bench`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.bench.results import Report, keep, table
from services.cli.output import console, fail


def _bus() -> Awaitable[Report]:
    from services.cli.bench import bus

    return bus.run()


def _healing() -> Awaitable[Report]:
    from services.cli.bench import healing

    return healing.run()


AREAS: dict[str, Callable[[], Awaitable[Report]]] = {"bus": _bus, "healing": _healing}


def bench(
    area: Annotated[str | None, typer.Argument(help=f"One of {', '.join(AREAS)}; all when not given.")] = None,
    data: Annotated[
        Path | None, typer.Option(envvar="HOMEOSTAT_BENCH_DATA", help="Folder with data sets, for areas that need one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure, beside baselines in the same run; keeps results in bench/results.json and docs/benchmarks.md."""
    if area is not None and area not in AREAS:
        raise fail(f"there is no area {area!r}: choose one of {', '.join(AREAS)}", code=2)
    if data is not None and not data.is_dir():
        raise fail(f"{data} is no folder: --data names the folder that holds the data sets", code=2)
    for name in [area] if area else AREAS:
        with console.status(f"measuring {name} …"):
            report = asyncio.run(_as_coroutine(AREAS[name]))
        keep(report)
        if as_json:
            typer.echo(json.dumps({**asdict(report), "at": report.at.isoformat()}))
        else:
            console.print(table(report))


async def _as_coroutine(run: Callable[[], Awaitable[Report]]) -> Report:
    return await run()
