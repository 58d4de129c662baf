"""PetShop: 5-minute metrics of microservices on AWS, their call graph, 26 issues in each of two scenarios.

Normal operation (`noissue`) and the issues were recorded months apart: the readings of normal operation are moved to
right before each issue's five, as the history that production would have.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.cli.bench._cases import Case, Floats, Readings, number
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.ranking import FAILURES, Kind, Trouble

PUBLISHED = "https://github.com/amazon-science/petshop-root-cause-analysis"
SCENARIOS = ("low_traffic", "high_traffic")
STEP_S = 300.0
KINDS = {"latency": frozenset({Kind.LATENCY}), "availability": FAILURES}


@dataclass(frozen=True)
class Recording:
    """Times, and values by component and metric."""

    times: Floats
    values: Mapping[tuple[str, str], Floats]


def read(path: Path) -> Recording:
    with path.open(newline="") as file:
        components, metrics, statistics, _, *rows = csv.reader(file)
    table = np.array([[number(cell) for cell in row] for row in rows])
    heads = zip(components[1:], metrics[1:], statistics[1:], strict=True)
    columns = {(c, f"{m}_{s.lower()}"): table[:, i + 1] for i, (c, m, s) in enumerate(heads)}
    return Recording(table[:, 0], columns)


def read_graph(path: Path) -> CallGraph:
    """A row calls the columns that aren't zero."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    return CallGraph(
        {row[0]: tuple(c for c, cell in zip(head[1:], row[1:], strict=True) if float(cell)) for row in rows}
    )


def cases(folder: Path) -> Iterator[Case]:
    for scenario in SCENARIOS:
        graph = read_graph(folder / scenario / "graph.csv")
        normal = read(folder / scenario / "noissue" / "metrics.csv")
        for issue in sorted((folder / scenario).glob("t*/issue_*")):
            told = json.loads((issue / "target.json").read_text())
            target = told["target"]
            yield Case(
                name=f"{scenario}/{issue.parent.name}/{issue.name}",
                odd=bool(int(issue.name.split("_")[1]) % 2),
                series=_joined(normal, read(issue / "metrics.csv")),
                noticed_s=float(target["timestamp"]),
                trouble=Trouble(str(target["node"]), KINDS[target["metric"]]),
                root=str(told["root_cause"]["node"]),
                graph=graph,
            )


def calm(folder: Path) -> Iterator[Case]:
    """Questions about normal operation: every five readings of its second half, for both kinds of trouble."""
    for scenario in SCENARIOS:
        graph = read_graph(folder / scenario / "graph.csv")
        normal = read(folder / scenario / "noissue" / "metrics.csv")
        half = len(normal.times) // 2
        for number_, end in enumerate(range(half, len(normal.times), 5)):
            series = {name: (normal.times[:end], values[:end]) for name, values in normal.values.items()}
            for kinds in KINDS.values():
                yield Case(
                    name=f"{scenario}/noissue/{number_}",
                    odd=bool(number_ % 2),
                    series=series,
                    noticed_s=float(normal.times[end - 4]) + 60.0,
                    trouble=Trouble("PetSite", kinds),
                    root="",
                    graph=graph,
                )


def _joined(normal: Recording, issue: Recording) -> dict[tuple[str, str], Readings]:
    moved = normal.times - normal.times[-1] + issue.times[0] - STEP_S
    times = np.concatenate((moved, issue.times))
    nothing = np.full(len(issue.times), np.nan)
    return {
        name: (times, np.concatenate((values, issue.values.get(name, nothing))))
        for name, values in normal.values.items()
    }
