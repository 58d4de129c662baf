"""`homeostat bench`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Protocol, cast

import typer

from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, keep, table
from services.cli.output import console, fail
from services.cli.stoppable import run_stoppable

AREAS = (
    "bus",
    "decisions",
    "healing",
    "known-patterns",
    "learning",
    "log-templates",
    "metric-anomalies",
    "root-cause",
    "throughput",
)
"""Each is a module of `services.cli.bench`, with `_` for `-`."""
LONG = ("faults", "soak")
"""Measured only when asked for: they take twenty minutes to an hour."""


class Area(Protocol):
    """What the module of an area offers."""

    def run(self, data: Path | None) -> Awaitable[Report]:
        """Measure; `data` is the folder given with --data. Raises DataMissingError when the area needs one."""


def bench(
    area: Annotated[
        str | None,
        typer.Argument(help=f"One of {', '.join((*AREAS, *LONG))}; when not given all but {', '.join(LONG)}."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(envvar="HOMEOSTAT_BENCH_DATA", help="Folder with the public sets, or with data of your own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure, beside baselines in the same run; keeps results in bench/results.json and docs/benchmarks.md."""
    if area is not None and area not in (*AREAS, *LONG):
        raise fail(f"there is no area {area!r}: choose one of {', '.join((*AREAS, *LONG))}", code=2)
    if data is not None and not data.is_dir():
        raise fail(f"{data} is no folder: --data names the folder that holds the data sets", code=2)
    for name in [area] if area else AREAS:
        try:
            with console.status(f"measuring {name} …"):
                report = run_stoppable(_as_coroutine(name, data))
        except asyncio.CancelledError:
            raise typer.Exit(130) from None
        except DataMissingError as missing:
            if area:
                raise fail(str(missing), code=2) from None
            console.print(f"{name}: left out. {missing}")
            continue
        keep(report)
        if as_json:
            typer.echo(json.dumps({**asdict(report), "at": report.at.isoformat()}))
        else:
            console.print(table(report))


async def _as_coroutine(name: str, data: Path | None) -> Report:
    module = cast(Area, import_module(f"services.cli.bench.{name.replace('-', '_')}"))
    return await module.run(data)
