"""`homeostat silence`: add, list, end."""

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
    short,
)

silence = typer.Typer(help="Whom nobody is to be troubled about, for a while.", no_args_is_help=True)


@silence.command()
def add(
    for_: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; kept in the audit.")],
    component: Annotated[str, typer.Option(help="Only of this one; `*` and `?` stand for any text.")] = "*",
    pattern: Annotated[str, typer.Option(help="Only this kind of trouble, as `http-*`.")] = "*",
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Only with this label; may be repeated.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Silence what matches: it is recorded, and neither told nor healed."""
    from shared.packs.promql import PromqlError, seconds

    labels: dict[str, str] = {}
    for given in label or []:
        name, separator, value = given.partition("=")
        if not separator or not name:
            raise fail(f"--label {escape(given)} names nothing: write --label name=value", code=2)
        labels[name] = value
    try:
        for_s = seconds(for_)
    except PromqlError as error:
        raise fail(escape(str(error)), code=2) from None
    body = {"component": component, "pattern": pattern, "labels": labels, "for_s": for_s, "reason": reason}
    made = connect(data_dir).post("/api/silences", body)
    if as_json:
        print_json(made)
        return
    console.print(
        f"silenced, ends {ago(made['ends_at'])}: `homeostat silence end {short(made['id'])}`", highlight=False
    )


@silence.command("list")
def list_silences(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Silences that hold now or will."""
    found = connect(data_dir).get("/api/silences")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["id"]),
            escape(one["component"]),
            escape(one["pattern"]),
            escape(", ".join(f"{name}={value}" for name, value in one["labels"].items())),
            ago(one["ends_at"]),
            escape(one["created_by"]),
            escape(one["reason"]),
        )
        for one in found
    ]
    print_table("", ("silence", "component", "pattern", "labels", "ends", "by", "reason"), rows, "No silences.")


@silence.command()
def end(
    silence_id: Annotated[str, typer.Argument(help="Id, or the beginning of one, as `homeostat silence list` shows.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """End a silence now."""
    client = connect(data_dir)
    found = [one["id"] for one in client.get("/api/silences") if one["id"].startswith(silence_id.lower())]
    if len(found) != 1:
        many = "several silences begin" if found else "no silence begins"
        raise fail(f"{many} with {escape(silence_id)}: see `homeostat silence list`")
    client.delete(f"/api/silences/{found[0]}")
    console.print(f"silence {short(found[0])} has ended", highlight=False)
