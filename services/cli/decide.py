"""Trusting decisions: `verify`, `calibration`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import Client, connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    console,
    fail,
    print_json,
    print_table,
    short,
)


def verify(
    decision: Annotated[
        str | None, typer.Argument(help="Id of a decision, or the beginning of one; by default the newest ones.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 100,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Make decisions again from their stored inputs: they must come out the same. Exits with 1 if one doesn't."""
    client = connect(data_dir)
    if decision is None:
        done = client.get("/api/decisions/recompute", limit=limit)
    else:
        done = client.get(f"/api/decisions/{_found(client, decision)}/recompute")
    if as_json:
        print_json(done)
    else:
        rows = [
            (short(one["decision_id"]), one["field"], escape(one["stored"]), escape(one["again"]))
            for one in done["differences"]
        ]
        if rows:
            print_table("", ("decision", "what", "stored", "made again"), rows, "")
        console.print(f"{done['same']} of {done['checked']} decisions come out the same", highlight=False)
        if decision is not None:
            console.print(escape(done["explanation"]), highlight=False)
    if done["differences"]:
        raise typer.Exit(1)


def _found(client: Client, wanted: str) -> str:
    known = [one["decision_id"] for one in client.get("/api/autonomous/decisions", limit=500)]
    found = sorted({one for one in known if one.startswith(wanted.lower())})
    if len(found) != 1:
        what = "several decisions begin" if found else "no decision begins"
        raise fail(f"{what} with {escape(wanted)}: see `homeostat decisions`")
    return str(found[0])


def calibration(
    days: Annotated[float, typer.Option(min=0.01, max=3_650)] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Whether what was said to help with 90 % helped in nine of ten runs."""
    found = connect(data_dir).get("/api/decisions/calibration", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['low']:.0%}–{one['high']:.0%}",
            str(one["runs"]),
            f"{one['expected']:.0%}",
            f"{one['helped']:.0%}",
        )
        for one in found["curve"]
    ]
    print_table("", ("chance", "runs", "foretold", "helped"), rows, "No runs have ended yet.")
    if rows:
        console.print(
            f"{found['runs']} runs, calibration error {found['calibration_error']:.3f}, Brier {found['brier']:.3f}",
            highlight=False,
        )
