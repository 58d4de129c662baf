"""Logs with the statement of each line: the public set's layout and a user's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from services.cli.bench.data import DataMissingError

LAYOUT = "NAME.log beside NAME.csv with columns LineId, Content and EventId, a row a line"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Lines of one system and the statement each came from."""

    name: str
    lines: list[str]
    events: list[str]


def public(folder: Path) -> list[Labelled]:
    """One folder a system, the corrected templates in a CSV. Raises DataMissingError."""
    found = [read(path, path.parent.name) for path in sorted(folder.glob("*/*_structured_corrected.csv"))]
    if not found:
        raise DataMissingError(f"{folder} has no SYSTEM/*_structured_corrected.csv")
    return found


def own(folder: Path) -> list[Labelled]:
    """Every `NAME.csv` that has its `NAME.log`. Raises DataMissingError when one can't be read."""
    return [read(path, path.stem) for path in sorted(folder.glob("*.csv")) if path.with_suffix(".log").is_file()]


def read(path: Path, name: str) -> Labelled:
    """Raises DataMissingError, naming what was expected."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as opened:
        rows = csv.DictReader(opened)
        missing = {"Content", "EventId"} - set(rows.fieldnames or ())
        if missing:
            raise DataMissingError(f"{path}, line 1: no column {', '.join(sorted(missing))}; expected {LAYOUT}")
        pairs = [(row["Content"] or "", row["EventId"] or "") for row in rows]
    if not pairs:
        raise DataMissingError(f"{path} has no rows; expected {LAYOUT}")
    return Labelled(name, [content for content, _ in pairs], [event for _, event in pairs])
