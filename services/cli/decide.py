"""Trusting decisions: `verify`, `calibration`, `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import Client, connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    console,
    fail,
    print_json,
    print_table,
    short,
)


def verify(
    decision: Annotated[
        str | None, typer.Argument(help="Id of a decision, or the beginning of one; by default the newest ones.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 100,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Make decisions again from their stored inputs: they must come out the same. Exits with 1 if one doesn't."""
    client = connect(data_dir)
    if decision is None:
        done = client.get("/api/decisions/recompute", limit=limit)
    else:
        done = client.get(f"/api/decisions/{decision_named(client, decision)}/recompute")
    if as_json:
        print_json(done)
    else:
        rows = [
            (short(one["decision_id"]), one["field"], escape(one["stored"]), escape(one["again"]))
            for one in done["differences"]
        ]
        if rows:
            print_table("", ("decision", "what", "stored", "made again"), rows, "")
        console.print(f"{done['same']} of {done['checked']} decisions come out the same", highlight=False)
        if decision is not None:
            console.print(escape(done["explanation"]), highlight=False)
    if done["differences"]:
        raise typer.Exit(1)


def decision_named(client: Client, wanted: str) -> str:
    """The id of the one recorded decision that begins with `wanted`. Raises typer.Exit for none or several."""
    known = [one["decision_id"] for one in client.get("/api/autonomous/decisions", limit=500)]
    found = sorted({one for one in known if one.startswith(wanted.lower())})
    if len(found) != 1:
        what = "several decisions begin" if found else "no decision begins"
        raise fail(f"{what} with {escape(wanted)}: see `homeostat decisions`")
    return str(found[0])


def calibration(
    days: Annotated[float, typer.Option(min=0.01, max=3_650)] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Whether what was said to help with 90 % helped in nine of ten runs."""
    found = connect(data_dir).get("/api/decisions/calibration", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['low']:.0%}–{one['high']:.0%}",
            str(one["runs"]),
            f"{one['expected']:.0%}",
            f"{one['helped']:.0%}",
        )
        for one in found["curve"]
    ]
    print_table("", ("chance", "runs", "foretold", "helped"), rows, "No runs have ended yet.")
    if rows:
        console.print(
            f"{found['runs']} runs, calibration error {found['calibration_error']:.3f}, Brier {found['brier']:.3f}",
            highlight=False,
        )


def simulate(
    policy: Annotated[
        Path, typer.Option(help="YAML with what would be otherwise, as in a pack: `mode`, `policy`, `playbooks`.")
    ],
    pack: Annotated[str | None, typer.Option(help="Only this pack's components change.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 200,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What other rules would have done with recorded decisions, and what that is worth. Nothing is touched."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        written = YAML(typ="safe", pure=True).load(policy.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise fail(f"{escape(str(policy))} can't be read: {escape(' '.join(str(error).split()))}", code=2) from None
    known = ("mode", "policy", "playbooks")
    if not isinstance(written, dict) or not set(written) <= set(known):
        raise fail(f"{escape(str(policy))} may say {', '.join(known)}, as a pack does, and nothing else", code=2)
    found = connect(data_dir).post("/api/decisions/replay", {**written, "pack": pack, "limit": limit})
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["decision_id"]),
            escape(one["component"]),
            f"{one['was']} {escape(one['was_playbook'] or '')}",
            f"{one['would_be']} {escape(one['would_be_playbook'] or '')}",
            escape(one["reason"]),
        )
        for one in found["differences"]
    ]
    print_table("", ("decision", "component", "was", "would be", "rule"), rows, "No decision would be another.")
    console.print(
        f"{found['compared']} decisions: {found['acted']} actions, {found['would_act']} would be", highlight=False
    )
    for name, worth in (("as it was", found["worth"]), ("as it would be", found["would_be_worth"])):
        if worth:
            console.print(
                f"{name}: {worth['value']:.0%} helped (95 %: {worth['low']:.0%}–{worth['high']:.0%}), "
                f"{worth['seen']:.0%} of it seen, the rest foretold",
                highlight=False,
            )
