"""`homeostat pack`: validate, diff, apply, list, remove, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    console,
    errors,
    fail,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from shared.packs import Pack

pack = typer.Typer(help="What is in Homeostat's care, and how.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A pack's YAML file.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A variable of the pack; may be repeated.")
]
SHOWN_CHARS = 100


def _load(file: Path, settings: list[str] | None) -> Pack:
    """The pack, or the command ends with every problem at its line."""
    from shared.packs.load import load_pack
    from shared.packs.problems import PackError

    variables: dict[str, str] = {}
    for setting in settings or []:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise fail(f"--set {escape(setting)} sets nothing: write --set name=value", code=2)
        variables[name] = value
    try:
        return load_pack(file, variables)
    except PackError as error:
        for problem in error.problems:
            errors.print(escape(str(problem)), highlight=False, soft_wrap=True)
        count = len(error.problems)
        raise fail(f"{escape(str(file))} has {count} {'problem' if count == 1 else 'problems'}") from None


def _wire(loaded: Pack) -> dict[str, Any]:
    return loaded.model_dump(mode="json", by_alias=True, exclude_none=True)


@pack.command()
def validate(file: FileArgument, settings: SetOption = None) -> None:
    """Check a pack here, without a running Homeostat: every problem with file, line and remedy."""
    loaded = _load(file, settings)
    console.print(
        f"{escape(str(file))} is good: pack {loaded.pack}, mode {loaded.mode}, {len(loaded.components)} components, "
        f"{len(loaded.probes)} probes, {len(loaded.playbooks)} playbooks",
        highlight=False,
    )


@pack.command()
def diff(
    file: FileArgument,
    settings: SetOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Show what applying a pack would change."""
    found = connect(data_dir).post("/api/packs/diff", _wire(_load(file, settings)))
    if as_json:
        print_json(found)
        return
    version = found["from_version"]
    against = f"version {version}" if version else "nothing: the pack is new"
    console.print(f"pack {found['pack']} against {against}", highlight=False)
    print_changes(found["changes"])


@pack.command()
def apply(
    file: FileArgument,
    settings: SetOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Put a pack in force. Services take it up at once; applying it again changes nothing."""
    result = connect(data_dir).post("/api/packs/apply", _wire(_load(file, settings)))
    if as_json:
        print_json(result)
        return
    if not result["changed"]:
        console.print(f"pack {result['pack']} is in force so already, as version {result['version']}", highlight=False)
        return
    console.print(f"pack {result['pack']} is in force as version {result['version']}", highlight=False)
    if result["version"] > 1:
        print_changes(result["changes"])


_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def print_changes(changes: list[dict[str, Any]]) -> None:
    if not changes:
        console.print("no changes", style="dim")
    for change in changes:
        sign, style = _SIGNS[change["kind"]]
        before, after = _brief(change["before"]), _brief(change["after"])
        text = {"added": after, "removed": before}.get(change["kind"], f"{before} → {after}")
        console.print(f"[{style}]{sign} {escape(change['where'])}: {escape(text)}[/{style}]", highlight=False)


def _brief(value: object) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


@pack.command("list")
def list_packs(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """The packs in force."""
    found = connect(data_dir).get("/api/packs")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["pack"],
            str(one["version"]),
            one["mode"],
            str(one["components"]),
            ago(one["applied_at"]),
            escape(one["applied_by"]),
        )
        for one in found
    ]
    columns = ("pack", "version", "mode", "components", "applied", "by")
    print_table("", columns, rows, "No packs: `homeostat pack apply packs/shop.yaml`.")


@pack.command()
def remove(
    name: Annotated[str, typer.Argument(help="The pack's name.")], data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """Take a pack out of force: its components are no longer watched or healed."""
    done = connect(data_dir).delete(f"/api/packs/{name}")
    console.print(f"pack {done['pack']} is no longer in force (version {done['version']})", highlight=False)


@pack.command("import-rules")
def import_rules(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A Prometheus rules file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the pack here; else it is printed.")
    ] = None,
    name: Annotated[str, typer.Option("--pack", help="The new pack's name.")] = "imported",
    component: Annotated[str, typer.Option(help="The component whose series the rules are about.")] = "imported",
) -> None:
    """Make a pack of Prometheus alerting rules, and say of each that can't be translated why."""
    from services.cli.promrules import import_file, pack_text

    try:
        found = import_file(file.read_text())
    except ValueError as error:
        raise fail(f"{escape(str(file))}: {escape(str(error))}") from None
    text = pack_text(found, name, component, file.name)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
    for refused in found.refused:
        errors.print(escape(f"not translated: {refused.name}: {refused.why}"), highlight=False, soft_wrap=True)
    errors.print(escape(found.count()), highlight=False, soft_wrap=True)


@pack.command()
def schema() -> None:
    """Print the JSON Schema of packs, for editors."""
    from shared.packs.load import pack_schema

    print_json(pack_schema())
