"""How the command line speaks: one console, one way to fail, times and tables that people read at a glance."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

PIPE_WIDTH = 180
"""Columns when the output is no terminal: nobody's `grep` should lose words to a narrow guess."""

console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True)

DataDirOption = Annotated[
    Path, typer.Option("--data-dir", envvar="HOMEOSTAT_DATA_DIR", help="Where servers, logs and credentials live.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DEFAULT_DATA_DIR = Path(".homeostat")

STYLES = {
    "healthy": "green",
    "warning": "yellow",
    "critical": "red",
    "unknown": "dim",
    "open": "red",
    "resolved": "green",
    "execute": "green",
    "ask": "yellow",
    "observe": "cyan",
    "abstain": "dim",
    "passed": "green",
    "failed": "red",
    "aborted": "yellow",
    "ok": "green",
    "fail": "red",
    "warn": "yellow",
}


def fail(text: str, code: int = 1) -> typer.Exit:
    """One clear line on standard error instead of a traceback: `raise fail(...)`. `text` may hold markup."""
    errors.print(f"[red]error:[/red] {text}", highlight=False, soft_wrap=True)
    return typer.Exit(code)


def print_json(data: object) -> None:
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def coloured(word: str) -> str:
    """`word` in the colour that it has everywhere."""
    style = STYLES.get(word)
    return f"[{style}]{escape(word)}[/{style}]" if style else escape(word)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A plain table; cells may hold markup. Without rows only the sentence `empty`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        console.print(table, highlight=False)
    else:
        console.print(empty, style="dim", highlight=False)


def ago(at: str | None, now: datetime | None = None) -> str:
    """`2026-01-01T…` → `3 min ago`; nothing for no time."""
    if at is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(at)).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    for limit, unit_s, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
        if size < limit:
            return _directed(f"{size / unit_s:.0f} {unit}", seconds)
    return _directed(f"{size / 86_400:.0f} d", seconds)


def _directed(span: str, seconds: float) -> str:
    return f"{span} ago" if seconds > 0 else f"in {span}"


def clock(at: str) -> str:
    """Time of day in the zone of this machine, with the date when that is another day."""
    local = datetime.fromisoformat(at).astimezone()
    pattern = "%H:%M:%S" if local.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S"
    return local.strftime(pattern)


def short(case_id: str) -> str:
    """The first digits of an id: enough for a person and for `homeostat trace`."""
    return case_id[:8]


def span(seconds: float) -> str:
    """`12.345` → `+12.3 s`; `312.0` → `+5 min 12 s`."""
    if seconds < 120:
        return f"+{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"+{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"+{hours} h {minutes} min"
