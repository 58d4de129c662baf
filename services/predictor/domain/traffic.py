"""How busy a component is now beside what is usual for it: maintenance belongs in its quiet moments."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

type Labels = tuple[tuple[str, str], ...]

_POINTS = 240
_SERIES_MAX = 256
_POINTS_MIN = 10
_SHORT_PER_WINDOW = 60
"""The moving average's time constant is the window divided by this: 5 s of 300 s."""
_STALE_PER_WINDOW = 10


class Quiet(StrEnum):
    """Whether traffic is low."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TrafficState:
    read_at_s: float | None
    rate: float | None
    counters: list[tuple[Labels, float]]
    rates: list[tuple[float, float]]


class TrafficMeter:
    """Rate of a counter, summed over its label sets, as an exponentially weighted moving average.

    The window's past rates are thinned to 240 points. Counter resets count from zero, as Prometheus does.
    """

    def __init__(self, window_s: float, quiet_quantile: float) -> None:
        self.window_s = window_s
        self.quiet_quantile = quiet_quantile
        self._counters: dict[Labels, float] = {}
        self._read_at_s: float | None = None
        self._rate: float | None = None
        self._rates: deque[tuple[float, float]] = deque(maxlen=_POINTS)

    def read(self, at_s: float, counters: Mapping[Labels, float]) -> None:
        """Take up one reading of the counter's label sets; older readings than the last are ignored."""
        previous_s = self._read_at_s
        if previous_s is not None and at_s <= previous_s:
            return
        increase = 0.0
        for labels, value in counters.items():
            before = self._counters.get(labels)
            if before is None:
                if len(self._counters) >= _SERIES_MAX:
                    continue
                increase += value if previous_s is not None else 0.0
            else:
                increase += value - before if value >= before else value
            self._counters[labels] = value
        self._read_at_s = at_s
        if previous_s is None:
            return
        elapsed_s = at_s - previous_s
        rate = increase / elapsed_s
        weight = 1 - math.exp(-elapsed_s * _SHORT_PER_WINDOW / self.window_s)
        self._rate = rate if self._rate is None else self._rate + weight * (rate - self._rate)
        while self._rates and self._rates[0][0] < at_s - self.window_s:
            self._rates.popleft()
        if not self._rates or at_s - self._rates[-1][0] >= self.window_s / _POINTS:
            self._rates.append((at_s, self._rate))

    def rate(self, at_s: float) -> float | None:
        """Events per second now; None before the second reading and when the last is stale."""
        if self._read_at_s is None or at_s - self._read_at_s > self.window_s / _STALE_PER_WINDOW:
            return None
        return self._rate

    def quiet(self, at_s: float) -> Quiet:
        """`YES` when the rate now is within the lowest `quiet_quantile` of the window's rates."""
        now = self.rate(at_s)
        if now is None or len(self._rates) < _POINTS_MIN:
            return Quiet.UNKNOWN
        ordered = sorted(rate for _, rate in self._rates)
        usual = ordered[math.floor(self.quiet_quantile * (len(ordered) - 1))]
        return Quiet.YES if now <= usual else Quiet.NO

    def dump(self) -> TrafficState:
        return TrafficState(self._read_at_s, self._rate, list(self._counters.items()), list(self._rates))

    def load(self, state: TrafficState) -> None:
        self._read_at_s, self._rate = state.read_at_s, state.rate
        self._counters = dict(state.counters)
        self._rates = deque(state.rates, maxlen=_POINTS)
