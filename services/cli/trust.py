"""How far decisions may be trusted: `explain`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.decide import decision_named
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    console,
    print_json,
    print_table,
)


def explain(
    decision: Annotated[
        str | None, typer.Argument(help="Id of a decision, or the beginning of one; by default the newest.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What a decision rests on: scores, limits, alternatives, evidence, and what would have turned it."""
    client = connect(data_dir)
    wanted = {"decision_id": decision_named(client, decision)} if decision else {}
    found = client.get("/api/autonomous/explain", **wanted)
    if as_json:
        print_json(found)
        return
    console.print(escape(found["explanation"]), highlight=False)
    for option in found["alternatives"]:
        rows = [
            (one["name"], f"{one['worth']:.2f}", f"{one['weight']:.0%}", f"{one['contribution']:.3f}", one["words"])
            for one in option["scores"]
        ]
        title = f"{option['playbook']} on {option['component']}: score {option['score']:.3f}"
        if option["rejected_because"]:
            title += f", not chosen: {option['rejected_because']}"
        print_table(escape(title), ("criterion", "worth", "weight", "adds", "because"), rows, "")
    limits = [
        (escape(one["rule"]), escape(one["limit"]), "kept" if one["kept"] else f"[red]{escape(one['words'])}[/red]")
        for one in found["constraints"]
    ]
    print_table("limits", ("rule", "allowed", "now"), limits, "No run was considered, so no limit was looked at.")
    for line in found["evidence"]:
        console.print(f"· {escape(line)}", highlight=False)
