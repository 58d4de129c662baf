"""What components keep logging: `logs`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.observe import Json, LimitOption
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    coloured,
    console,
    print_json,
    print_table,
)


def logs(
    component: Annotated[str | None, typer.Argument(help="Only of this component.")] = None,
    errors_only: Annotated[bool, typer.Option("--errors", help="Only patterns that had error lines.")] = False,
    limit: LimitOption = 30,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What components keep logging, the worst first: patterns, how often they came and what they are about."""
    found = connect(data_dir).get("/api/logs/patterns", component=component, errors_only=errors_only, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(one["component"]),
            coloured(one["severity"]) if one["severity"] else "",
            escape(one["category"]) if one["errors"] else "",
            str(one["lines"]),
            str(one["errors"]),
            ago(one["last_seen_at"]),
            escape(one["template"]),
        )
        for one in found
    ]
    print_table("", ("component", "severity", "about", "lines", "errors", "last", "pattern"), rows, "No log lines yet.")
    _print_worst(found)


def _print_worst(patterns: list[Json]) -> None:
    """The first error in full: its example, the lines around it and what usually helps."""
    worst = next((one for one in patterns if one["errors"]), None)
    if worst is None:
        return
    console.print("")
    for line in worst["before"]:
        console.print(f"  [dim]{escape(line)}[/dim]", highlight=False)
    console.print(f"[red]>[/red] {escape(worst['example'])}", highlight=False)
    for line in worst["after"]:
        console.print(f"  [dim]{escape(line)}[/dim]", highlight=False)
    console.print(f"What usually helps: {escape(worst['advice'])}.", highlight=False)
