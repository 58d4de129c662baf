"""`homeostat audit`: what people did, and the proof that nobody has rewritten it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    console,
    fail,
    print_json,
    print_table,
)

audit = typer.Typer(help="What people did and were refused, and the proof that nothing of it was changed.")


@audit.command("list")
def audit_list(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 50,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What people did and were refused, newest first."""
    found = connect(data_dir).get("/api/audit", limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(one["seq"]),
            ago(one["at"]),
            escape(one["actor"]),
            escape(one["action"]),
            escape(one["target"]),
            one["result"],
        )
        for one in found
    ]
    print_table("", ("seq", "when", "who", "what", "to what", "result"), rows, "Nobody has done anything.")


@audit.command("verify")
def audit_verify(
    kept: Annotated[
        list[str] | None, typer.Option(help="A head that was told before, as `audit:12:ab…`: it must still be there.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Recompute the hash chains of audit and timeline; exit 1 and name the first row that doesn't fit."""
    found = connect(data_dir).get("/api/audit/verify", kept=kept)
    if as_json:
        print_json(found)
    if not found["intact"]:
        where = ", ".join(f"{table} from row {seq} on" for table, seq in found["first_broken"].items())
        raise fail(f"the chain is broken: {where}. Compare with a backup of the database: rows were changed or removed")
    if not as_json:
        console.print("audit and timeline are whole", style="green")
        for table, head in found["heads"].items():
            console.print(f"keep elsewhere, for --kept: {table}:{head}", highlight=False, soft_wrap=True)
