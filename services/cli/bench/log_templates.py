"""Templates of log lines: eight public systems, shapes written for the bench, and logs of the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from services.cli.bench import _log_files, _log_shapes
from services.cli.bench._log_files import LAYOUT, Labelled
from services.cli.bench._log_miners import MINERS, Grouped, agreement
from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, Row

PUBLIC = "loghub_2k"
PUBLISHED_AT = "github.com/logpai/loghub"
PROTOCOL = (
    "GA: share of lines whose group is exactly a true one; FGA: F1 of groups; each line is assigned as it comes. "
    "`as told` is what was said when each line came, from the lines before it alone; `final` also follows merges of "
    "templates that later lines brought, which a table of patterns shows and a stream can't. "
)


async def run(data: Path | None) -> Report:
    """The table of this area. Raises DataMissingError."""
    return await asyncio.to_thread(measure, data)


def measure(data: Path | None) -> Report:
    if data is not None and (data / PUBLIC).is_dir():
        return public(data / PUBLIC)
    logs = _log_files.own(data) if data is not None else []
    if not logs:
        raise DataMissingError(
            f"no data: give --data DIR with {PUBLIC}/ in it (published at {PUBLISHED_AT}), or of your own: {LAYOUT}"
        )
    return _report(f"Log templates of your own: {len(logs)} logs", PROTOCOL, [*_means(logs, ""), *_each(logs)])


def public(folder: Path) -> Report:
    logs = _log_files.public(folder)
    shapes = [
        Labelled(shape, lines, [str(statement) for statement in statements])
        for shape in _log_shapes.SHAPES
        for lines, statements in [_log_shapes.lines(shape)]
    ]
    rows = [*_means(logs, ""), *_means(shapes, ", shapes of our own"), *_each(logs), *_each(shapes)]
    return _report(
        f"Log templates: {len(logs)} public systems",
        PROTOCOL + "One configuration for all. It was written with the labels of all the public systems in view and "
        "mended after a look at what it missed in them, so none of them is unseen and no half was held out; the "
        "baselines are as they come. The shapes were written by the authors of the miner, before it was run on them.",
        rows,
    )


def _means(logs: Sequence[Labelled], what: str) -> list[Row]:
    rows = []
    for name, group in MINERS.items():
        grouped = [group(log.lines) for log in logs]
        figures = [_figures(log, each) for log, each in zip(logs, grouped, strict=True)]
        mean = {figure: fmean(each[figure] for each in figures) for figure in figures[0]}
        mean["lines/s"] = sum(len(log.lines) for log in logs) / sum(each.seconds for each in grouped)
        rows.append(Row(name + what, mean))
    return rows


def _each(logs: Sequence[Labelled]) -> list[Row]:
    ours = MINERS["Homeostat"]
    return [Row(f"– {log.name}", _figures(log, ours(log.lines))) for log in logs]


def _figures(log: Labelled, grouped: Grouped) -> dict[str, float]:
    accuracy, f1 = agreement(grouped.final, log.events)
    told, told_f1 = agreement(grouped.told, log.events)
    return {
        "GA as told": told,
        "FGA as told": told_f1,
        "GA final": accuracy,
        "FGA final": f1,
        "lines/s": len(log.lines) / grouped.seconds,
    }


def _report(title: str, notes: str, rows: list[Row]) -> Report:
    return Report(area="log-templates", at=datetime.now(UTC), title=title, notes=notes, rows=rows)
