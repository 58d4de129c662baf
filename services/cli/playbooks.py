"""`homeostat playbook`: list, show, history, diff, apply, remove, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import Client, connect
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
from services.cli.packs import print_changes

playbook = typer.Typer(help="What may be done about a trouble, one playbook at a time.", no_args_is_help=True)

PATH = "/api/healing/playbooks"
NameArgument = Annotated[str, typer.Argument(metavar="[PACK/]NAME", help="The playbook; with its pack where several.")]
FileArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="One playbook as YAML, without its name.")
]


def _find(client: Client, wanted: str) -> dict[str, Any]:
    """The one playbook that was meant."""
    pack, _, name = wanted.rpartition("/")
    found: list[dict[str, Any]] = [one for one in client.get(PATH, pack=pack or None) if one["name"] == name]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{one['pack']}/{name}" for one in found)
        raise fail(f"several packs have a playbook {escape(name)}: say which: {escape(several)}")
    raise fail(f"no playbook in force is named {escape(wanted)}: see `homeostat playbook list`")


def _place(client: Client, wanted: str) -> str:
    """Path of a playbook that may be new; a new one needs its pack."""
    pack, _, name = wanted.rpartition("/")
    if not pack:
        found = _find(client, wanted)
        pack, name = found["pack"], found["name"]
    return f"{PATH}/{pack}/{name}"


@playbook.command("list")
def list_playbooks(
    pack: Annotated[str | None, typer.Option(help="Only of this pack.")] = None,
    component: Annotated[str | None, typer.Option(help="Only what may be run on this component.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """The playbooks in force, with what follows when one does not help."""
    found = connect(data_dir).get(PATH, pack=pack, component=component)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['pack']}/{one['name']}",
            ", ".join(one["categories"]),
            one["automation_level"] if one["permitted"] else f"{one['automation_level']}, not permitted",
            escape(", ".join(one["required_permissions"])),
            " → ".join(one["ladder"]),
        )
        for one in found
    ]
    print_table("", ("playbook", "for", "level", "needs", "then"), rows, "No playbooks: apply a pack that has some.")


@playbook.command()
def show(name: NameArgument, data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """One playbook as it is in force, as YAML that `playbook apply` takes."""
    found = _find(connect(data_dir), name)
    if as_json:
        print_json(found)
        return
    from io import StringIO

    from ruamel.yaml import YAML

    writer, text = YAML(typ="safe", pure=True), StringIO()
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 120
    writer.dump(found["spec"], text)
    typer.echo(f"# {found['pack']}/{found['name']}, version {found['pack_version']} of the pack")
    typer.echo(text.getvalue(), nl=False)


@playbook.command()
def history(name: NameArgument, data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Who changed a playbook when, and what; of one that was removed too, given with its pack."""
    client = connect(data_dir)
    found = client.get(f"{_place(client, name)}/history")
    if as_json:
        print_json(found)
        return
    for one in found:
        removed = " (removed)" if one["spec"] is None else ""
        line = f"version {one['version']}{removed}, {ago(one['applied_at'])} by {one['applied_by']}"
        console.print(escape(line), style="bold", highlight=False)
        print_changes(one["changes"])


@playbook.command()
def diff(
    name: NameArgument, file: FileArgument, data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False
) -> None:
    """Show what applying a playbook would change."""
    client = connect(data_dir)
    found = client.put(_place(client, name), file.read_text(encoding="utf-8"), dry_run=True)
    if as_json:
        print_json(found)
        return
    print_changes(found["changes"])


@playbook.command()
def apply(
    name: NameArgument, file: FileArgument, data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False
) -> None:
    """Add a playbook to a pack, or replace it: the pack's next version."""
    client = connect(data_dir)
    done = client.put(_place(client, name), file.read_text(encoding="utf-8"))
    if as_json:
        print_json(done)
        return
    if not done["changed"]:
        console.print(f"{done['pack']}/{done['name']} is in force so already", highlight=False)
        return
    console.print(f"in force with version {done['version']} of {done['pack']}", highlight=False)
    print_changes(done["changes"])


@playbook.command()
def remove(name: NameArgument, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Take a playbook out of its pack; its history stays."""
    client = connect(data_dir)
    done = client.delete(_place(client, name))
    console.print(f"{done['pack']}/{done['name']} is no longer in force (version {done['version']})", highlight=False)


@playbook.command()
def schema() -> None:
    """Print the JSON Schema of one playbook, for editors."""
    from shared.packs.load import playbook_schema

    print_json(playbook_schema())
