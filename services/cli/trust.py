"""How far decisions may be trusted: `explain`, `override`, `autonomy`, `credit`, `accuracy`, `strategies`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.decide import decision_named
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


def explain(
    decision: Annotated[
        str | None, typer.Argument(help="Id of a decision, or the beginning of one; by default the newest.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What a decision rests on: scores, limits, alternatives, evidence, and what would have turned it."""
    client = connect(data_dir)
    wanted = {"decision_id": decision_named(client, decision)} if decision else {}
    found = client.get("/api/autonomous/explain", **wanted)
    if as_json:
        print_json(found)
        return
    console.print(escape(found["explanation"]), highlight=False)
    for option in found["alternatives"]:
        rows = [
            (one["name"], f"{one['worth']:.2f}", f"{one['weight']:.0%}", f"{one['contribution']:.3f}", one["words"])
            for one in option["scores"]
        ]
        title = f"{option['playbook']} on {option['component']}: score {option['score']:.3f}"
        if option["rejected_because"]:
            title += f", not chosen: {option['rejected_because']}"
        print_table(escape(title), ("criterion", "worth", "weight", "adds", "because"), rows, "")
    limits = [
        (escape(one["rule"]), escape(one["limit"]), "kept" if one["kept"] else f"[red]{escape(one['words'])}[/red]")
        for one in found["constraints"]
    ]
    print_table("limits", ("rule", "allowed", "now"), limits, "No run was considered, so no limit was looked at.")
    for line in found["evidence"]:
        console.print(f"· {escape(line)}", highlight=False)


autonomy = typer.Typer(help="Rights of playbooks to act alone: who earned, lost or was given them, and why.")

PackArgument = Annotated[str, typer.Argument(help="Name of the pack.")]
PlaybookArgument = Annotated[str, typer.Argument(help="Name of the playbook.")]
SignatureArgument = Annotated[str, typer.Argument(help="The problem, as decisions name it: `crash:process-exited`.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit for good.")]


@autonomy.command("list")
def autonomy_list(
    pack: Annotated[str | None, typer.Option(help="Only this pack.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Where every playbook stands on the ladder observe → assist → auto, and what it earned or lost."""
    found = connect(data_dir).get("/api/autonomous/autonomy", **({"pack": pack} if pack else {}))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(f"{one['pack']}/{one['playbook']}"),
            escape(one["signature"] or "any problem"),
            one["rung"],
            one["declared"],
            f"{one['reason']} {ago(one['since'])}".strip(),
            escape(one["words"]),
        )
        for one in found["standings"]
    ]
    columns = ("playbook", "problem", "stands at", "declared", "decided", "because")
    print_table("", columns, rows, "There are no playbooks: apply a pack.")


@autonomy.command("promote")
def autonomy_promote(
    pack: PackArgument,
    playbook: PlaybookArgument,
    signature: SignatureArgument,
    reason: ReasonOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Give a playbook the right to act alone on a problem, within its pack's mode and every limit."""
    _set("promote", pack, playbook, signature, reason, data_dir)


@autonomy.command("demote")
def autonomy_demote(
    pack: PackArgument,
    playbook: PlaybookArgument,
    signature: SignatureArgument,
    reason: ReasonOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Take the right to act alone on a problem from a playbook, until a person gives it back."""
    _set("demote", pack, playbook, signature, reason, data_dir)


def _set(verb: str, pack: str, playbook: str, signature: str, reason: str, data_dir: Path) -> None:
    body = {"pack": pack, "playbook": playbook, "signature": signature, "reason": reason}
    now = connect(data_dir).post(f"/api/autonomous/autonomy/{verb}", body)
    console.print(f"{playbook} stands at {now['rung']} on {signature}", highlight=False)


def override(
    decision: Annotated[str, typer.Argument(help="Id of a decision, or the beginning of one.")],
    reason: ReasonOption,
    run: Annotated[str | None, typer.Option(help="Run this playbook instead, within the limits.")] = None,
    leave: Annotated[bool, typer.Option("--leave", help="Leave it alone.")] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Replace a decision by your own; what can no longer be changed is learned from all the same."""
    if (run is None) != leave:
        raise fail("say one of `--run PLAYBOOK` and `--leave`", code=2)
    client = connect(data_dir)
    body = {
        "decision_id": decision_named(client, decision),
        "verdict": "abstain" if leave else "execute",
        "playbook": run,
        "reason": reason,
    }
    done = client.post("/api/autonomous/override", body)
    what = "it is left alone" if leave else f"{done['playbook']} is run"
    console.print(what if done["applied"] else "nothing changes now: your word is learned from", highlight=False)


def credit(
    days: Annotated[float, typer.Option(min=0.01, max=3_650)] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What acting was worth beside leaving alone, where a pack has a share of mild incidents held off at random."""
    found = connect(data_dir).get("/api/autonomous/credit", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(one["playbook"] or "all"),
            f"{one['acted']['over_in_time']:.0%} of {one['acted']['cases']}",
            f"{one['held_off']['over_in_time']:.0%} of {one['held_off']['cases']}",
            f"{one['effect']:+.0%}",
            f"{one['low']:+.0%} to {one['high']:+.0%}",
        )
        for one in found["effects"]
    ]
    empty = f"{found['cases']} cases so far: an effect needs some of both arms. See `hold_off` in a pack's policy."
    print_table("", ("playbook", "over in time, acted", "left alone", "effect", "95 %"), rows, empty)


def accuracy(
    days: Annotated[float, typer.Option(min=0.01, max=3_650)] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """How often decisions were right, and how many needed a person, from what was recorded."""
    found = connect(data_dir).get("/api/autonomous/accuracy", days=days)
    if as_json:
        print_json(found)
        return
    names = {"right": "right when it acted", "automated": "without a person", "with_a_person": "with a person"}
    rows = [
        (title, f"{one['part']} of {one['whole']}", f"{one['share']:.1%}", f"{one['low']:.1%}–{one['high']:.1%}")
        for name, title in names.items()
        if (one := found[name])["share"] is not None
    ]
    print_table("", ("decisions", "count", "share", "95 %"), rows, "Nothing that called for action is recorded yet.")


def strategies(
    days: Annotated[float, typer.Option(min=0.01, max=3_650)] = 90,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What each way to choose among safe playbooks is worth, estimated from the choices that were made."""
    found = connect(data_dir).get("/api/autonomous/strategies", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["strategy"],
            f"{one['own']['part']} of {one['own']['whole']}",
            f"{one['value']:.1%}",
            f"{one['low']:.1%}–{one['high']:.1%}",
            f"{one['snips']:.1%} ({one['snips_low']:.1%}–{one['snips_high']:.1%})",
            f"{one['seen']:.0%}",
        )
        for one in found["strategies"]
    ]
    columns = ("strategy", "helped where it chose", "worth", "95 %", "from what was taken alone", "might be seen")
    print_table(f"on {found['choices']} choices", columns, rows, "Nowhere were several playbooks free to be run alone.")
    tried = [
        (
            escape(one["signature"]),
            escape(one["playbook"]),
            f"{one['helped']['part']} of {one['helped']['whole']}",
            f"{one['helped']['low']:.1%}–{one['helped']['high']:.1%}",
        )
        for one in found["playbooks"]
    ]
    if tried:
        print_table("taken", ("problem", "playbook", "helped", "95 %"), tried, "")


model = typer.Typer(help="Models of confidence: trained on recorded runs, in force only when they are better.")


@model.command("list")
def model_list(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Versions, what each was made from, and how it foretold later runs beside the model before it."""
    found = connect(data_dir).get("/api/autonomous/models")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['version']}{' (in force)' if one['active'] else ''}",
            str(one["training_data"]["runs"]),
            f"{one['performance_metrics']['candidate']['log_loss']:.3f}",
            f"{one['performance_metrics']['present']['log_loss']:.3f}",
            ago(one["created_at"]),
        )
        for one in found["models"]
    ]
    columns = ("version", "runs", "log loss", "of the one before", "made")
    print_table(
        "", columns, rows, "Only the model that comes with Homeostat is there: train one when runs are recorded."
    )


@model.command("train")
def model_train(
    activate: Annotated[bool, typer.Option("--activate", help="Put it in force if it is better.")] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Fit a model to recorded runs, and judge it on later ones."""
    made = connect(data_dir).post("/api/autonomous/train", {"activate": activate})
    judged = made["performance_metrics"]
    console.print(
        f"version {made['version']}: log loss {judged['candidate']['log_loss']:.3f} beside "
        f"{judged['present']['log_loss']:.3f}; it is {'' if judged['is_better'] else 'not '}better, and "
        f"{'in force' if made['active'] else 'not in force'}",
        highlight=False,
    )


@model.command("activate")
def model_activate(version: int, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Put a version in force; `homeostat model rollback` goes back."""
    _use(version, data_dir)


@model.command("rollback")
def model_rollback(
    version: Annotated[int, typer.Argument(help="By default 0, the model that comes with Homeostat.")] = 0,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Go back to a former version."""
    _use(version, data_dir)


def _use(version: int, data_dir: Path) -> None:
    now = connect(data_dir).post(f"/api/autonomous/models/{version}/activate", {})
    console.print(f"version {now['active']} is in force", highlight=False)
