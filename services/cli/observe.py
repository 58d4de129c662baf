"""Looking: `status`, `incidents`, `trace`, `decisions`, `events`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    clock,
    coloured,
    console,
    print_json,
    print_table,
    short,
    span,
)

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many, newest first.")]
RECONNECT_S = 1.0

type Json = dict[str, Any]


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


# ---- status


def status(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Everything at a glance: health, what is wrong, what is being done, and who is asked."""
    state = connect(data_dir).get("/api/autonomous/system-state")
    if as_json:
        print_json(state)
        return
    health = state["health"]
    packs = ", ".join(f"{one['pack']} v{one['version']} ({one['mode']})" for one in state["packs"])
    console.print(
        f"[bold]{coloured(health['overall_status'])}[/bold]  packs: {escape(packs) or 'none'}", highlight=False
    )
    checks = health["checks"]
    database_ms = checks["database"]["latency_ms"]
    nats = "connected" if checks["nats"]["connected"] else "[red]not connected[/red]"
    console.print(f"[dim]database {database_ms:.1f} ms · NATS {nats}[/dim]\n", highlight=False)
    if not state["packs"]:
        console.print("Nothing is in care yet: `homeostat pack apply packs/shop.yaml`.")
    _print_components(health["components"])
    _print_incidents("What is wrong", state["open_incidents"], "")
    _print_predictions(state["predictions"])
    _print_running(state["running"])
    _print_asking(state["asking"])
    if state["open_recommendations"]:
        console.print(f"{state['open_recommendations']} recommendations: GET /api/recommendations")


def _print_components(components: list[Json]) -> None:
    if components:
        rows = [
            (
                escape(one["component"]),
                coloured(one["status"]) if one["watched"] else "[dim]not watched[/dim]",
                ago(one["since"]),
                escape(one["pack"]),
            )
            for one in components
        ]
        print_table("", ("component", "health", "since", "pack"), rows, "")


def _print_incidents(title: str, incidents: list[Json], empty: str) -> None:
    rows = [
        (
            short(one["case_id"]),
            escape(one["component"]),
            coloured(one["severity"]) if not one["resolved_at"] else coloured("resolved"),
            escape(one["pattern"]),
            ago(one["opened_at"]),
            escape(one["summary"]) + (f" [dim]({escape(one['silenced'])})[/dim]" if one.get("silenced") else ""),
        )
        for one in incidents
    ]
    if rows or empty:
        print_table(title, ("incident", "component", "state", "pattern", "opened", "summary"), rows, empty)


def _print_predictions(predictions: list[Json]) -> None:
    rows = [
        (short(one["case_id"]), escape(one["component"]), percent(one["probability"]), escape(one["summary"]))
        for one in predictions
    ]
    if rows:
        print_table("What is expected", ("prediction", "component", "likely", "summary"), rows, "")


def _print_running(running: list[Json]) -> None:
    rows = [(short(one["case_id"]), escape(one["component"]), escape(one["playbook"]), one["phase"]) for one in running]
    if rows:
        print_table("What is being done", ("case", "component", "playbook", "phase"), rows, "")


def _print_asking(asking: list[Json]) -> None:
    rows = [
        (
            short(one["decision_id"]),
            escape(one["component"]),
            escape(one["playbook"]),
            ago(one["expires_at"]),
            escape(one["explanation"]),
        )
        for one in asking
    ]
    if rows:
        print_table("Who is asked", ("decision", "component", "playbook", "lapses", "why"), rows, "")
        console.print("Answer with `homeostat approve <decision>` or `homeostat reject <decision>`.\n", highlight=False)


# ---- incidents, decisions


def incidents(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    component: Annotated[str | None, typer.Option(help="Only of this component.")] = None,
    grouped: Annotated[bool, typer.Option("--grouped", help="Put together what belongs to one situation.")] = False,
    limit: LimitOption = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Incidents, newest first."""
    if grouped:
        _situations(data_dir, only_open, component, limit, as_json)
        return
    wanted = "open" if only_open else None
    found = connect(data_dir).get("/api/incidents", status=wanted, component=component, limit=limit)
    if as_json:
        print_json(found)
    else:
        _print_incidents("", found, "No incidents.")


def _situations(data_dir: Path, only_open: bool, component: str | None, limit: int, as_json: bool) -> None:
    found = connect(data_dir).get("/api/situations", open=only_open, limit=limit)
    shown = [one for one in found if component is None or component in one["components"]]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        priority = f" {one['priority']}" if one["priority"] else ""
        title = f"{short(one['group_id'])}{priority} {one['status']}: {', '.join(one['components'])}"
        _print_incidents(escape(title), one["incidents"], "")
    if not shown:
        console.print("No incidents.", style="dim")


def decisions(
    verdict: Annotated[
        str | None, typer.Option(help="Only execute, ask, observe or abstain; `ask` are those that wait for you.")
    ] = None,
    component: Annotated[str | None, typer.Option(help="Only about this component.")] = None,
    limit: LimitOption = 20,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """What was decided, and why, newest first."""
    found = connect(data_dir).get("/api/autonomous/decisions", verdict=verdict, component=component, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["decision_id"]),
            short(one["case_id"]),
            ago(one["at"]),
            escape(one["component"]),
            coloured(one["verdict"]) + (" (dry run)" if one["dry_run"] else ""),
            escape(one["plan"]["playbook"] if one["plan"] else "–"),
            percent(one["confidence"]),
            percent(one["risk"]),
            escape(one["reason"]),
        )
        for one in found
    ]
    columns = ("decision", "case", "when", "component", "verdict", "playbook", "sure", "risk", "rule")
    print_table("", columns, rows, "No decisions.")


# ---- trace

_ACTS = {"seen": "yellow", "concluded": "cyan", "decided": "magenta", "done": "blue", "came of it": "green"}


def trace(
    case: Annotated[
        str, typer.Argument(help="Id of an incident or other case, the beginning of one, or `last`.")
    ] = "last",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """The story of one case: seen → concluded → decided and why → done → what came of it."""
    story = connect(data_dir).get(f"/api/trace/{case}")
    if as_json:
        print_json(story)
        return
    from rich.table import Table

    console.print(
        f"[bold]{story['case_kind']} {short(story['case_id'])}[/bold] at [bold]{escape(story['component'])}[/bold], "
        f"began {clock(story['began_at'])} ({ago(story['began_at'])})   [dim]{story['case_id']}[/dim]\n",
        highlight=False,
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    former = ""
    for moment in story["moments"]:
        act = moment["act"]
        shown = "" if act == former else f"[{_ACTS[act]}]{act}[/{_ACTS[act]}]"
        table.add_row(span(moment["since_start_s"]), shown, moment["service"], escape(moment["title"]))
        for line in moment["lines"]:
            table.add_row("", "", "", f"[dim]· {escape(line)}[/dim]")
        former = act
    console.print(table, highlight=False)


# ---- events


def events(
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    after: Annotated[str | None, typer.Option(help="Begin after this place, as shown first in each line.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Follow all that happens, live, until Ctrl-C. Goes on by itself when the connection breaks."""
    import httpx

    client = connect(data_dir)
    shown, place, connected = 0, after, False
    while True:
        try:
            for number, subject, body in client.follow(place):
                connected, place = True, number
                typer.echo(
                    json.dumps({"seq": number, "subject": subject, "body": body})
                    if as_json
                    else _line(number, subject, body)
                )
                shown += 1
                if shown == count:
                    return
            connected = True
        except httpx.TransportError as error:
            if not connected:
                raise client.unreachable(error) from None
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        time.sleep(RECONNECT_S)


_TOLD_BY = ("summary", "explanation", "reason", "detail")


def _line(place: str, subject: str, body: Json) -> str:
    """One event in one line: place, time, subject, case, component, and what it says of itself."""
    states = (str(body[name]) for name in ("transition", "verdict", "phase", "result", "moment") if body.get(name))
    said = next((str(body[name]) for name in _TOLD_BY if body.get(name)), "")
    if causes := body.get("causes"):
        said = f"{causes[0]['category']} of {causes[0]['component']}, {percent(causes[0]['confidence'])} sure"
    parts = [f"{place:>6}", clock(body["at"]), f"{subject.rpartition('.v')[0]:<24}"]
    parts += [short(str(body.get("case_id", ""))), f"{body.get('component', ''):<14}", " ".join(states)]
    return "  ".join(part for part in [*parts, said.partition("\n")[0]] if part)
