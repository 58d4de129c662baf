"""Reports in plain language, and how far diagnoses can be trusted: `report`, `diagnosis calibration`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    console,
    print_json,
    print_table,
)

diagnosis = typer.Typer(name="diagnosis", help="How far diagnoses can be trusted.", no_args_is_help=True)

type Json = dict[str, Any]


def report(
    incident: Annotated[str, typer.Argument(help="Id of an incident, the beginning of one, or `last`.")] = "last",
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown.")] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """The report of an incident: what happened, to whom, why, what was done and what came of it."""
    found = connect(data_dir).get(f"/api/incidents/{incident}/report")
    if as_json:
        print_json(found)
    elif markdown:
        typer.echo(found["markdown"])
    else:
        console.print(f"[bold]{escape(found['title'])}[/bold]\n\n{escape(found['summary'])}", highlight=False)
        for section in found["sections"]:
            console.print(f"\n[bold]{escape(section['title'])}[/bold]", highlight=False)
            for line in section["lines"]:
                console.print(f"  · {escape(line)}", highlight=False)


@diagnosis.command()
def calibration(
    days: Annotated[float, typer.Option(min=0.1, max=3_650, help="How far back.")] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """How often diagnoses turned out right, by how sure they were."""
    found = connect(data_dir).get("/api/diagnosis/calibration", days=days)
    if as_json:
        print_json(found)
        return
    if not found["judged"]:
        console.print("No repair has told yet whether a diagnosis was right.", style="dim", highlight=False)
        return
    console.print(
        f"{found['right']} of {found['judged']} diagnosed causes turned out right. "
        f"Brier score {_figures(found, 'brier')}, expected calibration error {_figures(found, 'calibration_error')}.\n",
        highlight=False,
    )
    rows = [
        (
            f"{_share(one['low'])} to {_share(one['high'])}",
            str(one["cases"]),
            _share(one["confidence"]),
            _share(one["right"]),
        )
        for one in found["reliability"]
    ]
    print_table("Reliability", ("told", "cases", "mean confidence", "turned out right"), rows, "")
    records = [
        (
            escape(one["signature"]),
            f"{one['right']} of {one['cases']}",
            _share(one["raw_confidence"]),
            _share(one["calibrated"]),
            ago(one["last_at"]),
        )
        for one in found["signatures"]
    ]
    print_table("By signature", ("signature", "right", "evidence says", "worth", "last"), records, "")


def _figures(found: Json, name: str) -> str:
    return f"{found[name]:.3f} (of the evidence alone {found[f'raw_{name}']:.3f})"


def _share(share: float) -> str:
    return f"{share * 100:.0f} %"
