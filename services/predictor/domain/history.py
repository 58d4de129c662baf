"""A series' past at every time scale in a few hundred points, so that leaks of seconds and of weeks look alike."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import accumulate, islice

from services.predictor.domain.trend import Strictness, Trend, fit

type HistoryState = list[tuple[list[tuple[float, float]], list[tuple[float, float]]]]
"""Per level its points and those waiting to be averaged, each as (seconds, value)."""

CAPACITY = 32
FOLD = 4
_USUAL_MIN = 15
LEVELS = 10
"""32 × 4⁹ readings: at one a second, three months."""


@dataclass(frozen=True, slots=True)
class Usual:
    """5 % and 95 % quantiles of past levels: the wider of those by time (slow cycles) and by point (fast noise)."""

    low: float
    high: float


class History:
    """Newest readings at full resolution, older ones as means of 4, 16, 64, … readings.

    Each level holds 32 points, so the whole is at most 320. Every level is judged twice, by its newest
    `points_min` points and by all it has: windows from some seconds to months, each about twice the one before.
    """

    def __init__(self, points_min: int = 15) -> None:
        if not 2 * 4 <= points_min <= CAPACITY:
            raise ValueError(f"points_min is {points_min}: it must be from 8 to {CAPACITY}")
        self._points_min = points_min
        self._levels: list[deque[tuple[float, float]]] = []
        self._pending: list[list[tuple[float, float]]] = []
        self._fits: dict[Strictness, dict[int, tuple[Trend, ...]]] = {}
        """Judged levels; forgotten when the level gets a new point. A pure function of the points."""

    def __len__(self) -> int:
        return len(self._levels[0]) if self._levels else 0

    def newest(self, count: int) -> list[float]:
        """Values of the newest readings, oldest first."""
        if not self._levels:
            return []
        level = self._levels[0]
        return [value for _, value in islice(level, max(0, len(level) - count), None)]

    def add(self, at_s: float, value: float) -> None:
        point = (at_s, value)
        for level in range(LEVELS):
            if level == len(self._levels):
                self._levels.append(deque(maxlen=CAPACITY))
                self._pending.append([])
            self._levels[level].append(point)
            for fits in self._fits.values():
                fits.pop(level, None)
            pending = self._pending[level]
            pending.append(point)
            if len(pending) < FOLD:
                return
            point = (sum(t for t, _ in pending) / FOLD, sum(v for _, v in pending) / FOLD)
            pending.clear()

    def usual(self, before_s: float, span_min_s: float) -> Usual | None:
        """The range of the levels before a time, or None when fewer than `span_min_s` seconds are known."""
        past = [
            (value, FOLD**level, at_s)
            for level, points in enumerate(self._levels)
            for at_s, value in points
            if at_s < before_s
        ]
        if len(past) < _USUAL_MIN or before_s - min(at_s for _, _, at_s in past) < span_min_s:
            return None
        past.sort()
        by_time = [weight for _, weight, _ in past]
        return Usual(
            min(_quantile(past, by_time, 0.05), past[round(0.05 * (len(past) - 1))][0]),
            max(_quantile(past, by_time, 0.95), past[round(0.95 * (len(past) - 1))][0]),
        )

    def clear(self) -> None:
        self._levels.clear()
        self._pending.clear()
        self._fits.clear()

    def trends(self, strictness: Strictness) -> list[Trend]:
        """Climbs found, from the shortest window to the longest."""
        fits = self._fits.setdefault(strictness, {})
        for level, points in enumerate(self._levels):
            if level not in fits:
                fits[level] = self._judge(points, strictness)
        return [trend for level in range(len(self._levels)) for trend in fits[level]]

    def _judge(self, level: deque[tuple[float, float]], strictness: Strictness) -> tuple[Trend, ...]:
        sizes = {self._points_min, len(level)} if len(level) >= self._points_min else set()
        found = []
        for size in sorted(sizes):
            window = list(islice(level, len(level) - size, None))
            trend = fit([t for t, _ in window], [v for _, v in window], strictness)
            if trend is not None:
                found.append(trend)
        return tuple(found)

    def dump(self) -> HistoryState:
        """What `load` turns back into an equal history."""
        return [(list(level), list(pending)) for level, pending in zip(self._levels, self._pending, strict=True)]

    def load(self, state: HistoryState) -> None:
        self.clear()
        for points, pending in state:
            self._levels.append(deque(points, maxlen=CAPACITY))
            self._pending.append(list(pending))


def _quantile(ordered: list[tuple[float, int, float]], weights: list[int], share: float) -> float:
    sums = list(accumulate(weights))
    return ordered[min(bisect_left(sums, share * sums[-1]), len(ordered) - 1)][0]
