"""`homeostat backup`: list, show, restore, verify."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.act import backups, rollback
from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    console,
    errors,
    fail,
    print_json,
    print_table,
)

backup = typer.Typer(help="What was kept before changes.", no_args_is_help=True)
backup.command("list")(backups)
backup.command("restore")(rollback)
LISTED = 500


@backup.command()
def show(
    backup_id: Annotated[str, typer.Argument(help="Id of a backup: see `homeostat backup list`.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """The files of one backup, why it was made, and how sure Homeostat was."""
    listed: list[dict[str, Any]] = connect(data_dir).get("/api/healing/backups", limit=LISTED)
    found = next((one for one in listed if one["backup_id"] == backup_id), None)
    if found is None:
        raise fail(f"none of the newest {LISTED} backups is {escape(backup_id)}: see `homeostat backup list`")
    if as_json:
        print_json(found)
        return
    where = f"in the archive {found['archive']}" if found["archive"] else "in the database"
    console.print(escape(f"{found['reason']} ({found['confidence']:.0%} sure); {where}"), highlight=False)
    rows = [
        (
            escape(file["path"] + (f" → {file['link']}" if file["link"] else "")),
            f"{file['mode']:o}" if file["sha256"] else "",
            str(file["size"]) if file["sha256"] else "no file",
            file["sha256"][:12],
        )
        for file in found["files"]
    ]
    print_table("", ("file", "mode", "bytes", "sha256"), rows, "No files.")


@backup.command()
def verify(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Read every kept byte back and compare it with its sha256; exit 1 when anything is lost or changed."""
    client = connect(data_dir)
    total = {"blobs": 0, "archives": 0, "bytes_read": 0}
    bad: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/api/healing/backups/verify", after=after)
        total = {name: count + page[name] for name, count in total.items()}
        bad += page["bad"]
        after = page["next"]
    if as_json:
        print_json({**total, "bad": bad})
    else:
        console.print(
            f"read {total['blobs']} contents and {total['archives']} archives, {total['bytes_read']} bytes: "
            + ("every one is as it was kept" if not bad else f"{len(bad)} are not as they were kept"),
            highlight=False,
        )
        for one in bad:
            errors.print(escape(one), highlight=False, soft_wrap=True)
    if bad:
        raise typer.Exit(1)
