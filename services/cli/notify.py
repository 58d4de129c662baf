"""`homeostat notify`: what people were told, and trying a channel."""

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
    print_json,
    print_table,
    short,
)

notify = typer.Typer(help="What people are told, and how.", no_args_is_help=True)


@notify.command("list")
def list_notices(
    state: Annotated[str | None, typer.Option(help="Only waiting, sending, sent, failed or dropped.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What was sent, what waits, and what was given up, newest first."""
    found = connect(data_dir).get("/api/notifications", **({"state": state} if state else {}))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["id"]),
            one["state"],
            escape(f"{one['pack']}/{one['channel']}"),
            one["kind"],
            escape(one["component"]),
            escape(one["title"]),
            ago(one["sent_at"] or one["created_at"]),
            escape(one["error"]),
        )
        for one in found
    ]
    head = ("notice", "state", "channel", "kind", "component", "what", "when", "problem")
    print_table("", head, rows, "Nobody was told anything.")


@notify.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(help="As in the pack, or `<pack>/<channel>`.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Send one message on a channel now, and say what came of it."""
    pack, _, name = channel.rpartition("/")
    said = connect(data_dir).post("/api/notifications/test", {"channel": name, "pack": pack or None})
    console.print(escape(said["message"]), highlight=False)


@notify.command()
def retry(
    notice: Annotated[str, typer.Argument(help="Whole id, as `homeostat notify list --state failed --json` shows.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Send what was given up once more."""
    said = connect(data_dir).post(f"/api/notifications/{notice}/retry", None)
    console.print(escape(said["message"]), highlight=False)
