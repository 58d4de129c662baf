"""`homeostat record`: keeps what was reported around a failure, with its label, to be played again."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import Client, connect
from services.cli.output import DEFAULT_DATA_DIR, DataDirOption, console, fail
from shared.contracts.base import Category, Severity

SENSED = (
    *("pack", "components", "probes", "ratios", "rules", "log_patterns", "expects", "anomalies"),
    *("limits", "traffic", "signatures", "library", "library_without"),
)
"""Sections of a pack that say what is watched and how it is judged; what may be done about it is left out."""
OF_COMPONENT = ("kind", "calls", "criticality", "group", "slo")
_AGO = re.compile(r"\d+(\.\d+)?(ms|s|m|h|d)")

type Body = dict[str, Any]


def record(
    name: Annotated[str, typer.Argument(help="Name of the scenario and of its folder.")],
    component: Annotated[str | None, typer.Option(help="What failed; left out: nothing did.")] = None,
    cause: Annotated[
        list[Category] | None,
        typer.Option(help="Of what kind it was; several where nobody could tell."),
    ] = None,
    onset: Annotated[
        str | None, typer.Option(help="When it began: a time with its zone, or 20m for so long ago.")
    ] = None,
    recovered: Annotated[str | None, typer.Option(help="When it was over.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="How bad it must be told to be.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="Another component truly in trouble of its own.")] = None,
    before: Annotated[str, typer.Option(help="How much ordinary running to keep before the onset.")] = "30m",
    until: Annotated[str | None, typer.Option(help="End of the recording; by default now.")] = None,
    deadline: Annotated[str, typer.Option(help="How soon it must be noticed.")] = "10m",
    group: Annotated[str, typer.Option(help="Heading under which the bench counts it.")] = "recorded",
    pack: Annotated[str | None, typer.Option(help="Which pack, where several are in force.")] = None,
    out: Annotated[Path, typer.Option(help="Folder in which the scenario's own is made.")] = Path("recordings"),
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Keep what was reported around a failure, with its label: play it with `homeostat bench known-patterns --data`."""
    now = datetime.now(UTC)
    if component is not None and (not cause or onset is None or recovered is None):
        raise fail("a failure needs its label: give --cause, --onset and --recovered, or leave --component out", code=2)
    began = _time(onset, now) if onset else now
    end = _time(until, now) if until else now
    client = connect(data_dir)
    body = _pack(client, pack)
    about: Body = {"name": name, "group": group, "pack": _sensed(body)}
    if component is not None:
        if component not in body["components"]:
            known = ", ".join(sorted(body["components"]))
            raise fail(
                f"pack {escape(body['pack'])} has no component {escape(component)}: it has {escape(known)}", code=2
            )
        about |= {
            "onset": began.isoformat(),
            "recovered": _time(str(recovered), now).isoformat(),
            "deadline_s": _seconds(deadline),
            "expect": {
                "component": component,
                "cause": [each.value for each in cause or ()],
                "severity": severity.value if severity else "",
                "also": also or [],
            },
        }
    since = began - timedelta(seconds=_seconds(before))
    folder = out / name
    count = _keep(client, folder, about, since, end)
    console.print(f"{folder}: {count} messages of {(end - since).total_seconds():.0f} s", highlight=False)
    console.print(f"play it: `homeostat bench known-patterns --data {out}`", highlight=False)


def _keep(client: Client, folder: Path, about: Body, since: datetime, end: datetime) -> int:
    """Writes the scenario; gives the number of messages."""
    from ruamel.yaml import YAML

    components = list(about["pack"]["components"])
    params = {"since": since.isoformat(), "until": end.isoformat(), "component": components}
    lines = client.lines("/api/recordings", params)
    first = next(lines, None)
    if first is None:
        raise fail(f"nothing was reported from {since.isoformat()} to {end.isoformat()}: is the time right?")
    count = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "messages.jsonl.gz", "wt", compresslevel=9) as file:
            file.write(f"{first}\n")
            for line in lines:
                file.write(f"{line}\n")
                count += 1
        yaml = YAML()
        yaml.default_flow_style = False
        with (folder / "scenario.yaml").open("w") as label:
            yaml.dump(about, label)
    except OSError as error:
        raise fail(f"can't write {folder}: {error.strerror}") from None
    return count


def _pack(client: Client, wanted: str | None) -> Body:
    names = [each["pack"] for each in client.get("/api/packs")]
    if wanted is None and len(names) != 1:
        raise fail(f"say which pack: --pack {escape('|'.join(names)) or '(none is in force)'}", code=2)
    found: Body = client.get(f"/api/packs/{wanted or names[0]}")["body"]
    return found


def _sensed(body: Body) -> Body:
    """What is needed to play it; nothing of paths, commands or credentials."""
    kept = {section: body[section] for section in SENSED if section in body}
    kept["components"] = {
        name: {field: one[field] for field in OF_COMPONENT if one.get(field)}
        for name, one in body["components"].items()
    }
    return kept


def _time(text: str, now: datetime) -> datetime:
    if _AGO.fullmatch(text):
        return now - timedelta(seconds=_seconds(text))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"{escape(text)} is no time: write 2026-03-02T09:00:00Z, or 20m for so long ago", code=2) from None
    if found.tzinfo is None:
        raise fail(f"{escape(text)} has no time zone: write {escape(text)}Z for UTC", code=2)
    return found


def _seconds(text: str) -> float:
    from shared.packs.promql import PromqlError, seconds

    try:
        return seconds(text)
    except PromqlError as error:
        raise fail(escape(str(error)), code=2) from None
