"""Cases of the root cause bench: what was measured, where the trouble showed, and who was to blame.

A user's own layout is read here: a folder a case with `metrics.csv` and `case.json`, optional `graph.csv`, `logs.csv`
and `traces.csv`. Log lines and traces become series of their components, as they do when they are ingested.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.cli.bench.data import DataMissingError
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.ranking import Ranking, SeriesMemory, Trouble, look_at, rank

BUCKET_S = 10.0
"""Log lines and spans are summed over so many seconds."""
_BAD_LINE = re.compile(r"\b(error|exception|fatal|critical|panic|traceback|failed)\b", re.IGNORECASE)

type Floats = NDArray[np.float64]
type Readings = tuple[Floats, Floats]
"""Times in seconds and values; not a number where nothing was read."""


@dataclass(frozen=True)
class Case:
    """`noticed_s`: when the trouble was detected; `odd`: which half it belongs to."""

    name: str
    odd: bool
    series: Mapping[tuple[str, str], Readings]
    """By component and metric."""
    noticed_s: float
    trouble: Trouble
    root: str
    root_metric: str | None = None
    graph: CallGraph = field(default_factory=CallGraph)
    injected_s: float | None = None


def ranked(case: Case, noticed_s: float | None = None, until_s: float = np.inf) -> Ranking:
    """What the diagnoser concludes, by the code that it runs: readings into bounded memories, deviations, ranking."""
    at = case.noticed_s if noticed_s is None else noticed_s
    memories: dict[str, dict[str, SeriesMemory]] = {}
    for (component, metric), (times, values) in case.series.items():
        memory = memories.setdefault(component, {})[metric] = SeriesMemory()
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            if time <= until_s:
                memory.add(time, value)
    return rank([look_at(name, series, at) for name, series in sorted(memories.items())], case.graph, case.trouble)


def place(order: Sequence[object], root: object) -> int:
    """Where the root stands, from 0; far behind when it isn't named."""
    return order.index(root) if root in order else 10**6


# ---- a user's own


def own_cases(folder: Path) -> list[Case]:
    """Cases in the user's layout below a folder; none when there are none. Raises DataMissingError for a bad one."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [_own_case(place, number) for number, place in enumerate(places) if (place / "case.json").is_file()]


def _own_case(folder: Path, number: int) -> Case:
    try:
        about = json.loads((folder / "case.json").read_text())
        noticed_s, root = seconds(about["detected_at"]), str(about["root_component"])
        series = dict(_metrics(folder / "metrics.csv"))
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise DataMissingError(
            f"{folder}: {type(error).__name__}: {error}. A case needs metrics.csv (timestamp, columns "
            "component/metric) and case.json (injected_at, detected_at, root_component)"
        ) from error
    logs, traces, calls = folder / "logs.csv", folder / "traces.csv", folder / "graph.csv"
    edges: dict[str, set[str]] = {}
    if logs.is_file():
        series |= log_series(_rows(logs))
    if traces.is_file():
        spans, edges = trace_series(_rows(traces))
        series |= spans
    if calls.is_file():
        edges = {}
        for row in _rows(calls):
            edges.setdefault(row["caller"], set()).add(row["callee"])
    metric = about.get("root_metric")
    graph = CallGraph({caller: tuple(sorted(callees)) for caller, callees in edges.items()})
    shown = about.get("component")
    return Case(
        name=folder.name,
        odd=bool(number % 2),
        series=series,
        noticed_s=noticed_s,
        trouble=Trouble(str(shown) if shown else _entry(graph)),
        root=root,
        root_metric=str(metric) if metric else None,
        graph=graph,
        injected_s=seconds(about["injected_at"]) if "injected_at" in about else None,
    )


def _entry(graph: CallGraph) -> str | None:
    """The component that calls the most and that nobody calls: where users feel trouble."""
    called = {callee for callees in graph.calls.values() for callee in callees}
    entries = [name for name in graph.calls if name not in called] or list(graph.calls)
    return max(entries, key=lambda name: (len(graph.callees(name)), name), default=None)


def seconds(when: object) -> float:
    """A time in seconds, milliseconds or ISO 8601.

    >>> seconds("1700000000"), seconds(1700000000000), seconds("2023-11-14T22:13:20+00:00")
    (1700000000.0, 1700000000.0, 1700000000.0)
    """
    try:
        number = float(str(when))
    except ValueError:
        return datetime.fromisoformat(str(when)).timestamp()
    return number / 1e3 if number > 1e11 else number


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def _metrics(path: Path) -> Iterable[tuple[tuple[str, str], Readings]]:
    with path.open(newline="") as file:
        rows = csv.reader(file)
        columns = next(rows)[1:]
        table = [(seconds(row[0]), *map(number, row[1:])) for row in rows if row]
    array = np.array(sorted(table))
    for index, column in enumerate(columns):
        component, _, metric = column.partition("/")
        yield (component, metric or "value"), (array[:, 0], array[:, index + 1])


def number(text: str) -> float:
    return float(text) if text.strip() else float("nan")


def log_series(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], Readings]:
    """Lines that tell of errors and all lines, each component's, per bucket."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        bad = 1.0 if _BAD_LINE.search(row["message"]) else 0.0
        lines.setdefault(row["component"], []).append((seconds(row["timestamp"]), bad))
    span = _span(time for told in lines.values() for time, _ in told)
    found: dict[tuple[str, str], Readings] = {}
    for component, told in lines.items():
        times, bad_lines = np.array([time for time, _ in told]), np.array([bad for _, bad in told])
        found[component, "log_errors"] = _summed(times, bad_lines, span)
    return found


def trace_series(
    rows: Iterable[Mapping[str, str]],
) -> tuple[dict[tuple[str, str], Readings], dict[str, set[str]]]:
    """Mean latency, failed share and calls of each component per bucket; and who called whom."""
    spans = list(rows)
    owner = {(row["trace_id"], row["span_id"]): row["component"] for row in spans}
    edges: dict[str, set[str]] = {}
    by_component: dict[str, list[tuple[float, float, float]]] = {}
    for row in spans:
        caller = owner.get((row["trace_id"], row["parent_id"]))
        if caller is not None and caller != row["component"]:
            edges.setdefault(caller, set()).add(row["component"])
        failed = 0.0 if row["error"].strip().lower() in {"", "0", "false", "no", "ok"} else 1.0
        told = (seconds(row["timestamp"]), float(row["duration_ms"]) / 1e3, failed)
        by_component.setdefault(row["component"], []).append(told)
    span = _span(one[0] for told in by_component.values() for one in told)
    found: dict[tuple[str, str], Readings] = {}
    for component, calls_made in by_component.items():
        times, durations, failures = (np.array(column) for column in zip(*calls_made, strict=True))
        at, calls = _summed(times, np.ones_like(times), span)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[component, "trace_latency_mean"] = (at, _summed(times, durations, span)[1] / calls)
            found[component, "trace_error_ratio"] = (at, _summed(times, failures, span)[1] / calls)
        found[component, "trace_calls"] = (at, calls)
    return found, edges


def _span(times: Iterable[float]) -> tuple[float, float]:
    every = list(times)
    return (min(every), max(every)) if every else (0.0, 0.0)


def _summed(times: Floats, amounts: Floats, span: tuple[float, float]) -> Readings:
    edges = np.arange(span[0], span[1] + BUCKET_S, BUCKET_S)
    if len(edges) < 2:
        edges = np.array([span[0], span[0] + BUCKET_S])
    sums, _ = np.histogram(times, bins=edges, weights=amounts)
    return edges[1:], sums.astype(np.float64)
