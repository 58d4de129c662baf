"""`homeostat practice`: playbooks tried on targets that nobody needs."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import Client, connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    coloured,
    console,
    fail,
    print_json,
    print_table,
)

LIST = "list"
POLL_S = 0.5


def practice(
    playbook: Annotated[
        str | None, typer.Argument(help="What to practise; all that say how, without it. `list`: what was practised.")
    ] = None,
    pack: Annotated[str | None, typer.Option(help="Only of this pack.")] = None,
    within_s: Annotated[float, typer.Option("--within", min=1, help="Seconds to wait for the end.")] = 300,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="Of `list`.")] = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Break a practice target, have a playbook mend it, break it again, have it taken back, and compare the states.

    Ends with 1 when a playbook fails its practice, with 3 when nothing could be learned.
    """
    client = connect(data_dir)
    if playbook == LIST:
        found = client.get("/api/healing/practice", limit=limit)
    else:
        begun = client.post("/api/healing/practice", {"playbook": playbook, "pack": pack})
        for refused in begun["refused"]:
            console.print(f"not practised: {escape(refused)}", style="yellow", highlight=False)
        found = _wait(client, {one["practice_id"] for one in begun["begun"]}, within_s)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if playbook != LIST:
        verdicts = {one["verdict"] for one in found}
        raise typer.Exit(1 if "failed" in verdicts else 3 if "aborted" in verdicts else 0)


def _wait(client: Client, ids: set[str], within_s: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = [one for one in client.get("/api/healing/practice", limit=500) if one["practice_id"] in ids]
        if len(found) == len(ids) and all(one["verdict"] for one in found):
            return found
        time.sleep(POLL_S)
    raise fail(f"not over after {within_s:g} s: see `homeostat practice list`", code=3)


def _show(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            escape(one["playbook"]),
            escape(one["target"]),
            ago(one["started_at"]),
            coloured(one["verdict"] or "under way"),
            one["way_back"] or "",
            escape(one["spec_hash"]),
            escape(one["reason"]),
        )
        for one in found
    ]
    columns = ("playbook", "on", "when", "verdict", "way back", "version", "why")
    print_table("", columns, rows, "Nothing was practised: see `homeostat practice --help`.")
