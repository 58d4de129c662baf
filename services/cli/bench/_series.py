"""Tables of readings: one CSV a component, read whole and checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.cli.bench.data import DataMissingError

Floats = NDArray[np.float64]
TIME, LABEL, SPLIT = "timestamp", "label", "split"
LAYOUT = (
    "a CSV a component with a column `timestamp` (ISO 8601 or seconds since 1970, in order), value columns, and "
    "optionally `label` (0 or 1) and `split` (train or test)"
)


class LayoutError(DataMissingError):
    """The data is there but can't be read; the message says where and what was expected."""


@dataclass(frozen=True)
class Table:
    """Readings of one component: a row a time, a column a series. An empty cell is NaN."""

    name: str
    times: Floats
    columns: tuple[str, ...]
    values: Floats
    label: NDArray[np.bool_] | None
    test: NDArray[np.bool_] | None


def read_table(path: Path, *, ordered: bool = True) -> Table:
    """`ordered`: refuse rows that are earlier than the row before. Raises LayoutError."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        columns = [name for name in header if name not in (TIME, LABEL, SPLIT)]
        if TIME not in header or not columns or len(set(header)) < len(header):
            raise LayoutError(f"{path}, line 1: the header is {','.join(header) or 'empty'}; expected {LAYOUT}")
        body = [(number, row) for number, row in enumerate(rows, 2) if row]
    if not body:
        raise LayoutError(f"{path} has no rows; expected {LAYOUT}")
    for number, row in body:
        if len(row) != len(header):
            raise LayoutError(
                f"{path}, line {number}: {len(row)} cells, the header has {len(header)}; expected {LAYOUT}"
            )
    cells = dict(zip(header, zip(*(row for _, row in body), strict=True), strict=True))
    numbers = [number for number, _ in body]
    times = _parsed(path, numbers, TIME, cells[TIME], _seconds)
    backwards = np.flatnonzero(np.diff(times) < 0)
    if ordered and len(backwards):
        raise LayoutError(f"{path}, line {numbers[backwards[0] + 1]}: earlier than the line before; expected {LAYOUT}")
    label = _parsed(path, numbers, LABEL, cells[LABEL], _flag).astype(bool) if LABEL in cells else None
    test = _parsed(path, numbers, SPLIT, cells[SPLIT], _is_test).astype(bool) if SPLIT in cells else None
    values = np.column_stack([_parsed(path, numbers, name, cells[name], _value) for name in columns])
    return Table(path.stem, times, tuple(columns), values, label, test)


def _parsed(path: Path, numbers: list[int], column: str, cells: tuple[str, ...], parse: object) -> Floats:
    assert callable(parse)
    parsed = np.empty(len(cells))
    for index, cell in enumerate(cells):
        try:
            parsed[index] = parse(cell)
        except ValueError:
            raise LayoutError(
                f"{path}, line {numbers[index]}, column {column}: {cell!r} can't be read; expected {LAYOUT}"
            ) from None
    return parsed


def _seconds(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        at = datetime.fromisoformat(cell)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _value(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _flag(cell: str) -> float:
    flag = float(cell or "0")
    if flag not in (0.0, 1.0):
        raise ValueError(cell)
    return flag


def _is_test(cell: str) -> float:
    if cell not in ("train", "test"):
        raise ValueError(cell)
    return float(cell == "test")
