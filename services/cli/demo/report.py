"""The demo's result as a table and as one self-contained page with plots."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.table import Table

from services.cli.demo.scenario import Row
from services.cli.demo.signals import Signals

HEADINGS = (
    "fault",
    "noticed after",
    "cause named",
    "playbook",
    "applied after",
    "validated after",
    "requests failed",
    "healed",
)
BIN_S = 0.5
MEBIBYTE = 2.0**20


@dataclass(frozen=True, slots=True)
class Request:
    """One customer's request."""

    at: datetime
    ok: bool


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _cells(row: Row) -> tuple[str, ...]:
    mark = "right" if row.cause_is_right else "WRONG"
    return (
        row.fault,
        _seconds(row.noticed_s),
        f"{row.cause} ({mark})" if row.case_id else row.cause,
        row.playbook,
        _seconds(row.restarted_s),
        _seconds(row.validated_s),
        f"{row.failed_requests} of {row.total_requests}",
        ("yes" if row.case_id else "untouched") if row.healed else f"NO: {row.problem}",
    )


def table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    shown = Table(title="Faults and what became of them", title_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        good = row.healed and row.cause_is_right
        shown.add_row(*_cells(row), style=None if good else "red")
    return shown


def write_page(
    path: Path,
    rows: Sequence[Row],
    requests: Sequence[Request],
    signals: Signals,
    limit_bytes: float,
    lines: Sequence[str],
) -> None:
    """`path` gets the table, the plots and the timeline; nothing in it is loaded from elsewhere."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in HEADINGS)
    body = "".join(
        f"<tr class='{'good' if row.healed and row.cause_is_right else 'bad'}'>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row))
        + "</tr>"
        for row in rows
    )
    timeline = "\n".join(html.escape(line) for line in lines)
    path.write_text(
        _PAGE.format(head=head, body=body, plot=_plot(rows, requests, signals, limit_bytes), timeline=timeline),
        encoding="utf-8",
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Homeostat demo</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2430; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }}
th, td {{ text-align: left; padding: .45rem .6rem; border-bottom: 1px solid #dde3ea; }}
th {{ font-weight: 600; color: #55606e; }}
tr.bad td {{ background: #fdecea; }}
svg {{ width: 100%; height: auto; }}
pre {{ background: #f5f7f9; padding: 1rem; overflow-x: auto; font-size: 13px; border-radius: 6px; }}
</style>
<h1>Homeostat demo</h1>
<p>A small shop was broken four times and left alone once. Times are seconds after the fault. “Applied” is when
the repair was done; “validated” is when the signals that raised the case had stayed clear for the whole
validation window (shortened to seconds by the demo's pack; the product's default is two minutes).</p>
<table><tr>{head}</tr>{body}</table>
{plot}
<h2>Timeline</h2>
<pre>{timeline}</pre>
</html>
"""


def _plot(rows: Sequence[Row], requests: Sequence[Request], signals: Signals, limit_bytes: float) -> str:
    """Requests per second by outcome, and memory against its limit, with faults and repairs marked, as SVG."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    began = min([*(r.at for r in requests[:1]), *signals.at[:1], *(row.injected_at for row in rows[:1])])

    def since(at: datetime) -> float:
        return (at - began).total_seconds()

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    FigureCanvasSVG(figure)
    traffic, memory = figure.subplots(2, 1, sharex=True)
    end = max([since(row.ended_at) for row in rows] + [1.0]) + 5
    bins = [index * BIN_S for index in range(int(end / BIN_S) + 2)]
    ok = [since(r.at) for r in requests if r.ok]
    failed = [since(r.at) for r in requests if not r.ok]
    traffic.hist(
        [failed, ok],
        bins=bins,
        weights=[[1 / BIN_S] * len(failed), [1 / BIN_S] * len(ok)],
        stacked=True,
        color=["#d64545", "#9fc5a8"],
        label=["failed", "ok"],
    )
    traffic.set_ylabel("requests per second")
    traffic.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    readings = [value / MEBIBYTE if value is not None else float("nan") for value in signals.memory_bytes]
    memory.plot([since(at) for at in signals.at], readings, color="#35618f", linewidth=1.5)
    memory.axhline(limit_bytes / MEBIBYTE, color="#d64545", linestyle="--", linewidth=1)
    memory.annotate("limit", (0, limit_bytes / MEBIBYTE), xytext=(2, -12), textcoords="offset points", color="#d64545")
    memory.set_ylabel(f"memory of {signals.component} (MiB)")
    memory.set_xlabel("seconds")
    for axis in (traffic, memory):
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, end)
        for row in rows:
            axis.axvspan(
                since(row.injected_at),
                since(row.ended_at),
                color="#f2c14e" if row.case_id else "#8aa4bd",
                alpha=0.18,
                linewidth=0,
            )
            if row.restarted_s is not None:
                axis.axvline(since(row.injected_at) + row.restarted_s, color="#2f7d4f", linewidth=1.2)
    bottom, top = traffic.get_ylim()
    traffic.set_ylim(
        bottom, top * 1.35
    )  # room for the names, on three heights because faults follow each other closely
    for index, row in enumerate(rows):
        text = row.fault if row.restarted_s is None else f"{row.fault}: {row.playbook}"
        place = (since(row.injected_at), top * (1.12, 1.22, 1.32)[index % 3])
        traffic.annotate(text, place, xytext=(3, -2), textcoords="offset points", va="top", fontsize=9)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
