"""Acting: `approve`, `reject`, `heal`, `backups`, `rollback`, `dlq`, `token`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

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
    short,
)

DecisionArgument = Annotated[str, typer.Argument(help="Id of a decision that asks, the beginning of one, or `last`.")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why; kept in the audit.")]

dlq = typer.Typer(help="Messages that nobody could handle.", no_args_is_help=True)
token = typer.Typer(help="Tokens for people and programs.", no_args_is_help=True)


# ---- decisions


def approve(
    decision: DecisionArgument = "last", comment: CommentOption = "", data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """Say yes to a decision that asks."""
    _answer(data_dir, decision, "approve", comment)


def reject(
    decision: DecisionArgument = "last", comment: CommentOption = "", data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """Say no to a decision that asks."""
    _answer(data_dir, decision, "reject", comment)


def _answer(data_dir: Path, decision: str, verb: str, comment: str) -> None:
    client = connect(data_dir)
    decision_id, about = _asking(client, decision)
    answered = client.post(f"/api/decisions/{decision_id}/{verb}", {"comment": comment})
    console.print(f"{verb}d: {escape(about)} ({escape(answered['reason'])})", highlight=False)


def _asking(client: Client, wanted: str) -> tuple[str, str]:
    """Id of the one decision that was meant, and what it is about."""
    asking = client.get("/api/autonomous/decisions", verdict="ask", limit=500)
    found = asking[:1] if wanted == "last" else [one for one in asking if one["decision_id"].startswith(wanted.lower())]
    if not asking:
        raise fail("no decision asks: see `homeostat decisions`")
    if len(found) != 1:
        ids = ", ".join(short(one["decision_id"]) for one in asking[:10])
        what = "several decisions begin" if found else "no decision that asks begins"
        raise fail(f"{what} with {escape(wanted)}: these ask: {ids}")
    (one,) = found
    playbook = one["plan"]["playbook"] if one["plan"] else "nothing"
    return one["decision_id"], f"{playbook} on {one['component']}"


# ---- repairs by hand


def heal(
    component: Annotated[str, typer.Argument(help="What to heal.")],
    playbook: Annotated[str, typer.Argument(help="How: a playbook of its pack.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    comment: CommentOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Ask for a playbook on a component. Limits, freezes and approvals hold for people too."""
    parameters = dict(_parameter(setting) for setting in settings or [])
    body = {"component": component, "playbook": playbook, "comment": comment, "parameters": parameters}
    asked = connect(data_dir).post("/api/healing/run", body)
    console.print(f"asked for; follow it with `homeostat trace {short(asked['case_id'])}`", highlight=False)


def _parameter(setting: str) -> tuple[str, object]:
    """`name=value`; a number or truth value as JSON writes it, anything else is text."""
    name, separator, value = setting.partition("=")
    if not separator or not name:
        raise fail(f"--set {escape(setting)} sets nothing: write --set name=value", code=2)
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, bool | int | float) else value


def backups(
    component: Annotated[str | None, typer.Option(help="Only of this component.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What was kept before changes, newest first."""
    found = connect(data_dir).get("/api/healing/backups", component=component, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(one["backup_id"]),
            escape(one["component"]),
            ago(one["at"]),
            escape(", ".join(file["path"] for file in one["files"])),
            escape(one["reason"]),
        )
        for one in found
    ]
    print_table("", ("backup", "component", "made", "files", "before"), rows, "No backups.")


def rollback(
    backup: Annotated[str, typer.Argument(help="Id of a backup: see `homeostat backups`.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Put back the files of a backup; what is there now is backed up first."""
    done = connect(data_dir).post(f"/api/monitoring/rollback/{backup}")
    restored = ", ".join(done["restored"]) or "nothing had to be changed"
    console.print(f"{escape(done['message'])}: {escape(restored)}", highlight=False)
    console.print(f"what was there before is in backup {escape(done['safety_backup_id'])}", highlight=False)


# ---- dead letters


@dlq.command("list")
def dlq_list(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500)] = 50,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What could not be handled, with the reason, newest first."""
    found = connect(data_dir).get("/api/dlq", limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (str(one["seq"]), one["service"], escape(one["subject"]), ago(one["stored_at"]), escape(one["reason"]))
        for one in found
    ]
    print_table("", ("seq", "service", "subject", "when", "reason"), rows, "No dead letters.")


@dlq.command("replay")
def dlq_replay(
    seq: Annotated[int | None, typer.Argument(help="Number of one, as `homeostat dlq list` shows it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, oldest first.")] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Handle again what could not be handled, once the cause is mended."""
    if (seq is None) == (not everything):
        raise fail("give the number of a dead letter, or --all", code=2)
    client = connect(data_dir)
    numbers = [seq] if seq is not None else sorted(one["seq"] for one in client.get("/api/dlq", limit=500))
    failed = 0
    for number in numbers:
        try:
            done = client.post(f"/api/dlq/{number}/replay")
        except typer.Exit:
            failed += 1
            continue
        console.print(f"{number}: {escape(done['message'])}", highlight=False)
    if failed:
        raise typer.Exit(1)
    if not numbers:
        console.print("No dead letters.", style="dim")


# ---- tokens


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whose it is: shown in the audit.")],
    role: Annotated[
        str, typer.Option(help="viewer reads, sender reports, operator acts, admin also manages packs and tokens.")
    ],
    days: Annotated[float | None, typer.Option(help="Expires after so many days; never when not given.")] = None,
    permissions: Annotated[
        list[str] | None,
        typer.Option("--permission", help="Of what playbooks ask for in `required_permissions`; may be repeated."),
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once."""
    if role not in ("viewer", "sender", "operator", "admin"):
        raise fail(f"there is no role {escape(role)!r}: choose viewer, sender, operator or admin", code=2)
    body = {"name": name, "role": role, "expires_in_days": days, "permissions": permissions or []}
    made = connect(data_dir).post("/api/tokens", body)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["token"])


@token.command("list")
def token_list(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Tokens that open something; the secrets themselves are not kept."""
    found = connect(data_dir).get("/api/tokens")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], escape(one["name"]), one["role"], ago(one["created_at"]), ago(one["expires_at"]) or "never")
        for one in found
    ]
    print_table("", ("id", "name", "role", "made", "expires"), rows, "No tokens.")


@token.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="Id, as `homeostat token list` shows it.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Revoke a token at once."""
    console.print(escape(connect(data_dir).delete(f"/api/tokens/{token_id}")["message"]), highlight=False)
