"""`homeostat governor`, and the two commands that must work when nothing else does: `stop-acting`, `resume-acting`."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import DEFAULT_DATA_DIR, DataDirOption, JsonOption, ago, console, fail, print_json, print_table
from shared.kill_switch import KillSwitch

ENVIRONMENT = "HOMEOSTAT_KILL_SWITCH_FILE"
COMPOSE_FILE = Path("deploy/control/kill-switch")
FileOption = Annotated[
    Path | None,
    typer.Option("--file", envvar=ENVIRONMENT, help="The switch's file, where it is not of this data directory."),
]


def switches(data_dir: Path, file: Path | None) -> list[KillSwitch]:
    """Every switch that a Homeostat of this folder looks at: named, or of the data directory, its demo, and compose."""
    if file is not None:
        return [KillSwitch(file)]
    places = [data_dir / "run" / "kill-switch", data_dir / "demo" / "run" / "kill-switch", COMPOSE_FILE]
    return [KillSwitch(place) for place in places if place.parent.is_dir()]


def stop_acting(
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; kept in the switch's file.")] = "",
    file: FileOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Nothing is touched any more, from now on: not even by what is on its way. Needs no server and no connection."""
    by = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC by {_user()}{f': {reason}' if reason else ''}"
    for switch in _found(data_dir, file):
        try:
            switch.pull(by)
        except OSError as error:
            raise fail(
                f"{escape(str(switch.file))} can't be made: {error.strerror}. Make it by hand, as root"
            ) from None
        console.print(f"nothing is touched any more: {escape(str(switch.file))}", highlight=False)


def resume_acting(file: FileOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Acting is allowed again. What was refused meanwhile is decided anew; what was left half done needs a person."""
    for switch in _found(data_dir, file):
        was_on = switch.is_on()
        try:
            switch.release()
        except OSError as error:
            raise fail(f"{escape(str(switch.file))} can't be removed: {error.strerror}") from None
        console.print(f"{'acting again' if was_on else 'was off'}: {escape(str(switch.file))}", highlight=False)


def _found(data_dir: Path, file: Path | None) -> list[KillSwitch]:
    found = switches(data_dir, file)
    if not found:
        raise fail(
            f"no Homeostat was ever started here: name its data directory with --data-dir, or the switch's file with "
            f"--file or {ENVIRONMENT}, as the healer and the decider were told it"
        )
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def governor(
    pack: Annotated[str | None, typer.Option(help="Only this pack.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What may be done now: who acts where, what is left of each budget, and what forbids acting."""
    found = connect(data_dir).get("/api/autonomous/governor", pack=pack)
    if as_json:
        print_json(found)
        return
    if found["switched_off"]:
        console.print("[red]the kill switch is on: nothing is touched[/red]", highlight=False)
    rows = [
        (
            escape(one["component"]),
            str(one["epoch"]),
            escape(one["playbook"]),
            ago(one["since"]),
            one["until"][11:19],
            one["decision_id"][:8],
        )
        for one in found["leases"]
    ]
    print_table(
        "leases", ("component", "epoch", "playbook", "since", "until (UTC)", "decision"), rows, "No leases held."
    )
    packs = [
        (
            escape(one["pack"]),
            one["mode"],
            f"{max(0, one['allowed'] - one['spent'])} of {one['allowed']}",
            f"{len(one['busy'])} of {one['most_at_once']}",
            ", ".join(f"{spent['name']} {spent['spent']}/{spent['allowed']}" for spent in one["components"]) or "–",
            escape("; ".join(_holding(one))) or "–",
        )
        for one in found["packs"]
    ]
    columns = ("pack", "mode", "actions left this hour", "acted on now", "spent by component", "held back by")
    print_table("budgets", columns, packs, "No packs are in force.")


def _holding(pack: dict[str, object]) -> list[str]:
    """What keeps the whole pack, or some of it, from being acted on."""
    frozen, maintained = pack["frozen"], pack["in_maintenance"]
    found = [f"freeze {window}" for window in frozen] if isinstance(frozen, list) else []
    if isinstance(maintained, list) and maintained:
        found.append(f"maintenance of {', '.join(maintained)}")
    if pack["storm"]:
        found.append(f"storm: {pack['storm']}")
    return found
