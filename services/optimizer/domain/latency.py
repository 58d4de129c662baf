"""Latency of the last minutes from Prometheus histograms: quantiles, and the share of calls above a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

type Labels = tuple[tuple[str, str], ...]

_SLOTS = 12
_SERIES_MAX = 5_000
_GAP_SLOTS = _SLOTS


@dataclass(frozen=True, slots=True)
class Quantile:
    """`beyond`: it lies above the highest finite bucket bound, and `value_s` is only that bound. `bound_s` is the upper
    bound of its bucket: it may be anywhere below."""

    value_s: float
    bound_s: float
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Latency:
    """Calls of one window by duration: upper bounds in seconds, ascending, the last infinite, with counts up to each.

    `error_ratio` is the share of failed requests in the same window, None without any.
    """

    bounds_s: tuple[float, ...]
    cumulative: tuple[float, ...]
    span_s: float
    error_ratio: float | None = None

    @property
    def samples(self) -> int:
        return int(self.cumulative[-1]) if self.cumulative else 0

    def quantile(self, share: float) -> Quantile:
        """Linear within its bucket, as Prometheus' `histogram_quantile`.

        Raises:
            ValueError: there are no samples.
        """
        if self.samples == 0:
            raise ValueError("no samples: ask `samples` first")
        rank = share * self.cumulative[-1]
        lower_s, below = 0.0, 0.0
        for bound_s, count in zip(self.bounds_s, self.cumulative, strict=True):
            if count >= rank:
                if math.isinf(bound_s):
                    return Quantile(lower_s, lower_s, beyond=True)
                within = (rank - below) / (count - below) if count > below else 1.0
                return Quantile(lower_s + within * (bound_s - lower_s), bound_s)
            lower_s, below = bound_s, count
        return Quantile(lower_s, lower_s, beyond=True)

    def share_above(self, time_s: float) -> float:
        """Share of calls that took longer, linear within a bucket; calls above the last finite bound are all longer."""
        total = self.cumulative[-1] if self.cumulative else 0.0
        if total <= 0:
            return 0.0
        lower_s, below = 0.0, 0.0
        for bound_s, count in zip(self.bounds_s, self.cumulative, strict=True):
            if time_s < bound_s:
                within = 0.0 if math.isinf(bound_s) else (time_s - lower_s) / (bound_s - lower_s)
                return 1 - (below + max(0.0, within) * (count - below)) / total
            lower_s, below = bound_s, count
        return 0.0

    def share_near(self, time_s: float) -> float:
        """Share of calls in the bucket just above `time_s` or higher: all that such a time-out may have cut off."""
        total = self.cumulative[-1] if self.cumulative else 0.0
        if total <= 0:
            return 0.0
        below = 0.0
        for bound_s, count in zip(self.bounds_s, self.cumulative, strict=True):
            if time_s < bound_s:
                break
            below = count
        return 1 - below / total


@dataclass(slots=True)
class Slot:
    """Increases during one twelfth of the window: calls up to each bound, failed and all requests."""

    index: int
    buckets: dict[str, float] = field(default_factory=dict)
    errors: float = 0.0
    requests: float = 0.0


@dataclass(frozen=True, slots=True)
class WindowState:
    read_at_s: float | None
    counters: list[tuple[str, Labels, float]]
    slots: list[Slot]


class Window:
    """Increases of counters over the last `window_s` seconds, in slots of a twelfth.

    A counter below its last reading began anew and counts from zero. A label set that turns up later counts in
    full: Prometheus clients create it with its first event.
    """

    def __init__(self, window_s: float) -> None:
        self._slot_s = window_s / _SLOTS
        self._read_at_s: float | None = None
        self._counters: dict[tuple[str, Labels], float] = {}
        self._slots: deque[Slot] = deque(maxlen=_SLOTS)

    def begin(self, at_s: float) -> bool:
        """Opens a reading at this time; False when it is not newer than the last."""
        if self._read_at_s is not None:
            if at_s <= self._read_at_s:
                return False
            if at_s - self._read_at_s > _GAP_SLOTS * self._slot_s:
                self.clear()
                self._counters.clear()
                self._read_at_s = None
        index = math.floor(at_s / self._slot_s)
        while self._slots and self._slots[0].index <= index - _SLOTS:
            self._slots.popleft()
        if self._read_at_s is not None and (not self._slots or self._slots[-1].index != index):
            self._slots.append(Slot(index))
        return True

    def increase(self, metric: str, labels: Labels, value: float) -> float:
        """What a counter has gained since its last reading; 0 in the first."""
        key = (metric, labels)
        before = self._counters.get(key)
        if before is None:
            if len(self._counters) >= _SERIES_MAX:
                return 0.0
            self._counters[key] = value
            return value if self._read_at_s is not None else 0.0
        self._counters[key] = value
        return value - before if value >= before else value

    def bucket(self, bound: str, increase: float) -> None:
        if self._slots and increase:
            buckets = self._slots[-1].buckets
            buckets[bound] = buckets.get(bound, 0.0) + increase

    def answered(self, *, requests: float = 0.0, errors: float = 0.0) -> None:
        if self._slots:
            self._slots[-1].requests += requests
            self._slots[-1].errors += errors

    def end(self, at_s: float) -> None:
        self._read_at_s = at_s

    def clear(self) -> None:
        """Forgets what was measured, but not where the counters stand: what follows is measured afresh."""
        self._slots.clear()

    def latency(self) -> Latency:
        sums: dict[float, float] = {}
        for slot in self._slots:
            for bound, count in slot.buckets.items():
                sums[float(bound)] = sums.get(float(bound), 0.0) + count
        bounds = sorted(sums)
        requests = sum(slot.requests for slot in self._slots)
        errors = sum(slot.errors for slot in self._slots)
        span_s = (self._slots[-1].index - self._slots[0].index + 1) * self._slot_s if self._slots else 0.0
        return Latency(
            tuple(bounds),
            tuple(_rising(sums[bound] for bound in bounds)),
            span_s,
            errors / requests if requests else None,
        )

    def dump(self) -> WindowState:
        return WindowState(
            self._read_at_s,
            [(metric, labels, value) for (metric, labels), value in self._counters.items()],
            [replace(slot, buckets=dict(slot.buckets)) for slot in self._slots],
        )

    def load(self, state: WindowState) -> None:
        self._read_at_s = state.read_at_s
        self._counters = {(metric, labels): value for metric, labels, value in state.counters}
        self._slots = deque(state.slots, maxlen=_SLOTS)


def _rising(counts: Iterable[float]) -> Iterable[float]:
    """Cumulative counts read at different instants may dip; a later bound never holds fewer calls."""
    highest = 0.0
    for count in counts:
        highest = max(highest, count)
        yield highest
