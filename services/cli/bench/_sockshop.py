"""Sock Shop: 38 series of 13 containers at one reading a second, 50 injected faults of CPU and memory.

Each case's normal recording is moved to right before its anomalous one. No graph is given.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.cli.bench._cases import Case, Floats, number
from services.diagnoser.domain.ranking import Trouble

PUBLISHED = "https://github.com/azamikram/rcd (sock-shop-data)"
BEGIN_S = 1_700_000_000.0


def cases(folder: Path) -> Iterator[Case]:
    for run in sorted(folder.glob("*-*/*/")):
        component, metric = run.parent.name.rsplit("-", 1)
        head, normal = _read(run / "normal.csv")
        _, anomalous = _read(run / "anomalous.csv")
        table = np.concatenate((normal, anomalous))
        times = BEGIN_S + np.arange(len(table), dtype=np.float64)
        series = {}
        for index, column in enumerate(head):
            name, _, what = column.partition("_")
            series[name, what] = (times, table[:, index])
        yield Case(
            name=f"{run.parent.name}/{run.name}",
            odd=bool(int(run.name) % 2),
            series=series,
            noticed_s=float(times[len(normal)]),
            trouble=Trouble(),
            root=component,
            root_metric=metric,
            injected_s=float(times[len(normal)]),
        )


def _read(path: Path) -> tuple[list[str], Floats]:
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    return head[1:], np.array([[number(cell) for cell in row[1:]] for row in rows])
