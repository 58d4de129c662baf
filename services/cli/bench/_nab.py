"""The Numenta Anomaly Benchmark: its series, and its score reimplemented (Lavin and Ahmad, ICMLA 2015).

A window of 10 % of a series lies around each labelled anomaly. The first detection in a window earns up to 1, the more
the earlier; each detection outside costs, the more the farther behind a window; each window missed costs. Three
profiles weigh the costs; 0 is a detector that says nothing, 100 a perfect one. The first 15 % of a series (of 5,000
readings at most) only teach.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.cli.bench._series import Table, read_table

Floats = NDArray[np.float64]
PROBATION, PROBATION_READINGS = 0.15, 750
STEEPNESS = 5.0
PROFILES = ("standard", "low FP", "low FN")
FALSE_ALARM, MISS = (0.11, 0.22, 0.11), (1.0, 1.0, 2.0)
PUBLISHED = {
    "windowedGaussian": "windowed Gaussian",
    "randomCutForest": "random cut forest",
    "knncad": "KNN-CAD",
    "contextOSE": "CAD OSE",
    "numenta": "Numenta HTM",
    "ARTime": "ARTime",
}
_PROFILE_KEYS = ("standard", "reward_low_FP_rate", "reward_low_FN_rate")


@dataclass(frozen=True)
class Labelled:
    """One series and the windows around its anomalies, first and last reading included."""

    name: str
    table: Table
    windows: Sequence[tuple[int, int]]


def load(folder: Path) -> list[Labelled]:
    """All series in order of name."""
    windows: dict[str, list[list[str]]] = json.loads((folder / "labels" / "combined_windows.json").read_text())
    series = []
    for name in sorted(windows):
        table = read_table(folder / "data" / name, ordered=False)
        spans = [_span(table.times, begin, end) for begin, end in windows[name]]
        series.append(Labelled(name, replace(table, times=_running(table.times)), spans))
    return series


def _running(times: Floats) -> Floats:
    """Some series are in local time, which is set back once a year; no sender's clock is."""
    offsets = np.arange(len(times)) * 1.0
    running: Floats = np.maximum.accumulate(times - offsets) + offsets
    return running


def _span(times: Floats, begin: str, end: str) -> tuple[int, int]:
    inside = np.flatnonzero((times >= _seconds(begin)) & (times <= _seconds(end)))
    return int(inside[0]), int(inside[-1])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def published(folder: Path) -> Mapping[str, tuple[float, ...]]:
    """Scores of others, as their authors or the benchmark's keepers measured them."""
    path = folder / "published" / "final_results.json"
    told: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
    return {
        label: tuple(told[key][profile] for profile in _PROFILE_KEYS) for key, label in PUBLISHED.items() if key in told
    }


def published_scores(folder: Path, series: Sequence[Labelled], detector: str) -> list[Floats] | None:
    """The score of every reading by a detector of the leaderboard, where it is at hand."""
    scores = []
    for each in series:
        group, file = each.name.split("/")
        path = folder / "published" / detector / group / f"{detector}_{file}.gz"
        if not path.is_file():
            return None
        with gzip.open(path, "rt") as lines:
            scores.append(np.array([float(row["anomaly_score"]) for row in csv.DictReader(lines)]))
    return scores


@dataclass(frozen=True)
class Result:
    """Scores by profile, and what they are made of under the standard profile."""

    scores: tuple[float, ...]
    found: int
    windows: int
    false_alarms: int

    def figures(self) -> dict[str, float]:
        return {
            **dict(zip(PROFILES, self.scores, strict=True)),
            "found": self.found,
            "of": self.windows,
            "false alarms": self.false_alarms,
        }


class Scorer:
    """Scores what a detector says of some series."""

    def __init__(self, series: Sequence[Labelled]) -> None:
        worth, window, live, count = [], [], [], 0
        for each in series:
            length = len(each.table.times)
            worth.append(_worth(length, each.windows))
            numbers = np.full(length, -1)
            for begin, end in each.windows:
                numbers[begin : end + 1] = count
                count += 1
            window.append(numbers)
            live.append(np.arange(length) >= min(int(PROBATION * length), PROBATION_READINGS))
        self._worth, self._window, self._live = np.concatenate(worth), np.concatenate(window), np.concatenate(live)
        self.windows = count

    def fixed(self, scores: Sequence[Floats], threshold: float) -> Result:
        """Every reading that reaches the threshold is a detection."""
        detected = np.flatnonzero(self._live & (np.concatenate(scores) >= threshold))
        return self._result(detected)

    def leaderboard(self, scores: Sequence[Floats]) -> Result:
        """The threshold that suits each profile best, chosen on the labels, as the leaderboard does."""
        every = np.concatenate(scores)
        candidates = np.flatnonzero(self._live & (every > 0.0))
        order = candidates[np.argsort(-every[candidates], kind="stable")]
        found, gained, lost, alarms = self._running(order)
        ranked = every[order]
        last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
        best, at = [], 0
        for profile, (cost, miss) in enumerate(zip(FALSE_ALARM, MISS, strict=True)):
            totals = np.where(last_of_equals, self._normalised(gained, lost, found, cost, miss), -np.inf)
            top = int(np.argmax(totals))
            at = top if profile == 0 else at
            best.append(max(0.0, float(totals[top])))
        return Result(tuple(best), int(found[at]), self.windows, int(alarms[at]))

    def _result(self, detected: NDArray[np.intp]) -> Result:
        found, gained, lost, alarms = (running[-1:] for running in self._running(detected))
        if not len(detected):
            return Result((0.0, 0.0, 0.0), 0, self.windows, 0)
        scores = tuple(
            float(self._normalised(gained, lost, found, cost, miss)[0])
            for cost, miss in zip(FALSE_ALARM, MISS, strict=True)
        )
        return Result(scores, int(found[0]), self.windows, int(alarms[0]))

    def _running(self, order: NDArray[np.intp]) -> tuple[Floats, Floats, Floats, Floats]:
        """After each of these detections: windows found, what they earn, what false alarms cost, how many they are."""
        worth, window = self._worth[order], self._window[order]
        outside = window < 0
        earned, first = np.zeros(len(order)), np.zeros(len(order))
        inside = np.flatnonzero(~outside)
        by_window = inside[np.argsort(window[inside], kind="stable")]
        for group in np.split(by_window, np.flatnonzero(np.diff(window[by_window])) + 1):
            if len(group):
                earned[group] = np.diff(np.maximum.accumulate(worth[group]), prepend=0.0)
                first[group[0]] = 1.0
        return np.cumsum(first), np.cumsum(earned), np.cumsum(np.where(outside, worth, 0.0)), np.cumsum(outside * 1.0)

    def _normalised(self, gained: Floats, lost: Floats, found: Floats, cost: float, miss: float) -> Floats:
        """`lost` is negative."""
        raw = gained + cost * lost - miss * (self.windows - found)
        return 100.0 * (raw + miss * self.windows) / (self.windows * (1.0 + miss))


def _worth(length: int, windows: Sequence[tuple[int, int]]) -> Floats:
    """What a detection at each reading earns (inside a window) or costs (outside, down to -1)."""
    worth = np.full(length, -1.0)
    for number, (begin, end) in enumerate(windows):
        width = end - begin + 1
        inside = np.arange(begin, end + 1)
        worth[begin : end + 1] = _sigmoid(-(end - inside + 1) / width) / _sigmoid(np.array([-1.0]))[0]
        following = windows[number + 1][0] if number + 1 < len(windows) else length
        behind = np.arange(end + 1, following)
        worth[end + 1 : following] = _sigmoid((behind - end) / (width - 1.0))
    return worth


def _sigmoid(position: Floats) -> Floats:
    """From 1 far before the window's end to -1 far behind it."""
    scaled: Floats = np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(STEEPNESS * np.minimum(position, 3.0))) - 1.0)
    return scaled
