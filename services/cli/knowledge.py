"""What was learned: `homeostat knowledge insights | fixes | feedback | quality | models | thresholds | …`."""

from __future__ import annotations

import sys
from pathlib import Path
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
    span,
)

knowledge = typer.Typer(help="What was learned from outcomes: insights, thresholds, and the knowledge base as lines.")

MOST_BYTES = 900_000
"""Of one request; a longer file goes in several."""


@knowledge.command()
def insights(
    days: Annotated[float, typer.Option(min=0.001, max=3_650)] = 90,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What stands out, in plain words."""
    found = connect(data_dir).get("/api/knowledge/insights", days=days)["insights"]
    if as_json:
        print_json(found)
        return
    rows = [(one["weight"], escape(one["words"]), str(one["facts"])) for one in found]
    print_table(
        "", ("", "insight", "facts"), rows, "nothing stands out yet: at least five runs of a playbook are needed"
    )


@knowledge.command()
def fixes(
    days: Annotated[float, typer.Option(min=0.001, max=3_650)] = 365,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """How often each playbook helped, and whether that gets better."""
    found = connect(data_dir).get("/api/autonomous/learning", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(name),
            str(one["total"]),
            str(one["successes"]),
            f"{one['success_rate']:.0%}",
            span(one["mean_recovery_s"]).removeprefix("+") if one["mean_recovery_s"] is not None else "",
            ago(one["last_updated"]),
        )
        for name, one in sorted(found["by_type"].items())
    ]
    print_table("", ("playbook", "runs", "helped", "rate", "takes", "last"), rows, "no playbook was run yet")
    if len(found["curve"]) > 1:
        curve = " ".join(f"{share:.0%}" for share in found["curve"])
        console.print(f"of the runs from first to last, in equal parts, helped: {curve}", highlight=False)


@knowledge.command()
def feedback(
    decision: Annotated[str | None, typer.Argument(help="Id of a decision; by default the newest lessons.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Lessons of outcomes and of people, and how alarms and predictions came out."""
    asked = {"decision_id": decision} if decision is not None else {}
    found = connect(data_dir).get("/api/ml/feedback", limit=limit, **asked)
    if as_json:
        print_json(found)
        return
    lessons = [
        (ago(one["at"]), one["feedback_type"], f"{one['outcome_quality']:.0%}", escape(one["lessons_learned"]))
        for one in found["feedback"]
    ]
    print_table("", ("", "from", "quality", "lesson"), lessons, "nothing was learned yet")
    if decision is not None:
        return
    alarms = [
        (one["component"], escape(one["pattern"]), str(one["true_alarms"]), str(one["false_alarms"]))
        for one in found["alarms"]
    ]
    print_table("", ("component", "alarm", "true", "false"), alarms, "no alarm is judged yet")
    foreseen = [
        (
            one["component"],
            escape(one["metric"]),
            *(str(one[came]) for came in ("hits", "prevented", "false_alarms", "missed")),
        )
        for one in found["foresight"]
    ]
    titles = ("component", "prediction", "hit", "prevented", "false", "missed")
    print_table("", titles, foreseen, "no prediction has come out yet")


@knowledge.command()
def quality(
    days: Annotated[float, typer.Option(min=0.001, max=3_650)] = 90,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What became of what was suggested, and how good people's answers were."""
    found = connect(data_dir).get("/api/ml/suggestion-quality", days=days)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(one["playbook"]),
            one["kind"],
            str(one["suggested"]),
            _share(one["adoption"]),
            _share(one["success"]),
            str(one["rejected"]),
            str(one["expired"]),
        )
        for one in found["groups"]
    ]
    titles = ("playbook", "for", "suggested", "adopted", "helped", "refused", "unanswered")
    print_table("", titles, rows, "nothing was suggested yet")
    people = [
        (escape(one["by"]), str(one["approved"]), f"{one['approved_helped']} of {one['approved_known']}")
        for one in found["people"]
    ]
    if people:
        print_table("", ("person", "approved", "of these helped"), people, "")


def _share(share: float | None) -> str:
    return f"{share:.0%}" if share is not None else ""


@knowledge.command()
def models(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Versions of the learner's models, which are in force, and why."""
    found = connect(data_dir).get("/api/ml/models", limit=limit)["models"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["model_type"],
            str(one["model_version"]),
            "in force" if one["active"] else "",
            ago(one["deployed_at"]),
            escape(one["reason"]),
        )
        for one in found
    ]
    print_table("", ("model", "version", "", "since", "why"), rows, "as shipped: no other was better on held-back runs")


@knowledge.command("export")
def export_lines(
    file: Annotated[Path | None, typer.Argument(help="Where to write to; by default the screen.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Write all recorded runs as JSON lines."""
    lines = connect(data_dir).lines("/api/knowledge/export", {})
    if file is None:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        return
    written = 0
    try:
        with file.open("w") as out:
            for line in lines:
                out.write(f"{line}\n")
                written += 1
    except OSError as error:
        raise fail(f"{file} can't be written: {error.strerror}") from None
    console.print(f"{written} runs written to {file}", highlight=False)


@knowledge.command("import")
def import_lines(
    file: Annotated[Path, typer.Argument(help="JSON lines, as `export` writes them.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Add runs from a file. A run that is known already changes nothing."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{file} can't be read: {error}") from None
    client = connect(data_dir)
    added = known = 0
    for first, part in _parts(lines):
        done = client.send("/api/knowledge/import", "\n".join(part), "application/x-ndjson")
        added, known = added + done["added"], known + done["known"]
        for one in done["refused"]:
            console.print(f"{file}:{first + one['line']}: {escape(one['reason'])}", highlight=False)
    console.print(f"{added} runs added, {known} known already", highlight=False)


def _parts(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Runs of lines that fit into one request, each with the number of lines before it."""
    parts: list[tuple[int, list[str]]] = []
    size = MOST_BYTES
    for number, line in enumerate(lines):
        if size + len(line.encode()) + 1 > MOST_BYTES:
            parts.append((number, []))
            size = 0
        parts[-1][1].append(line)
        size += len(line.encode()) + 1
    return parts


@knowledge.command()
def thresholds(
    apply: Annotated[str | None, typer.Option(help="Id, or its beginning, of a proposal to apply.")] = None,
    undo: Annotated[str | None, typer.Option(help="Id, or its beginning, of a change to put back.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Thresholds that could be others, with what they would have done; apply one, or put one back."""
    client = connect(data_dir)
    path = "/api/ml/optimize-thresholds"
    found = client.get(path)
    if apply is not None:
        chosen = _named(found["proposals"], apply, "proposal")
        done = client.post(path, {"proposal_id": chosen})
        console.print(f"{done['playbook']}: {done['after']:.0%} from now on; back: --undo {short(done['id'])}")
        return
    if undo is not None:
        done = client.post(f"{path}/{_named(found['changes'], undo, 'change')}/undo", {})
        console.print(f"{done['playbook']}: as it was before {done['after']:.0%}")
        return
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["id"]),
            f"{one['pack']}/{one['playbook']}",
            f"{one['now']:.0%} → {one['proposed']:.0%}",
            f"{one['effect_now']['alone']:.0%} → {one['effect']['alone']:.0%}",
            f"{one['effect']['wrong'] or 0:.0%} ({one['effect']['wrong_low']:.0%}–{one['effect']['wrong_high']:.0%})",
            escape(one["reason"]),
        )
        for one in found["proposals"]
    ]
    print_table("", ("proposal", "playbook", "threshold", "alone", "wrong", "why"), rows, "nothing to propose")


def _named(known: list[dict[str, str]], wanted: str, what: str) -> str:
    found = [one["id"] for one in known if one["id"].startswith(wanted.lower())]
    if len(found) != 1:
        many = "several" if found else "no"
        raise fail(f"{many} {what}s begin with {escape(wanted)}: see `homeostat knowledge thresholds`")
    return found[0]
