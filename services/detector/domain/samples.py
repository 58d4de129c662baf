"""What expressions ask of one series: its lately read values, in constant memory.

A range is kept as slots of a twelfth of it, each with what every function over ranges needs: so the range's old end
moves in steps of a twelfth, and nothing grows with the rate of readings.
"""

from __future__ import annotations

from math import sqrt

SLOTS = 12
STALE_S = 300.0
"""An instant selector no longer sees a value older than this (PromQL's look-back)."""
(_SLOT, _SINCE, _FIRST, _LAST_AT, _LAST, _GROWN, _SUM, _SQUARES, _COUNT, _LEAST, _MOST, _CHANGES, _RESETS) = range(13)


class Samples:
    """One series over one range, or over an offset.

    >>> samples = Samples(60.0)
    >>> for second, value in [(0, 10.0), (30, 40.0), (60, 5.0)]: samples.add(second, value)
    >>> samples.over("increase", 60), samples.over("rate", 60), samples.over("max_over_time", 60)
    (35.0, 0.5833333333333334, 40.0)
    """

    __slots__ = ("_slots", "_width_s", "range_s")

    def __init__(self, range_s: float) -> None:
        self.range_s = range_s
        self._width_s = range_s / SLOTS
        self._slots: list[list[float]] = []

    def add(self, at: float, value: float) -> None:
        """Readings come in order of time."""
        number = at // self._width_s
        last = self._slots[-1] if self._slots else None
        since, before = (last[_LAST_AT], last[_LAST]) if last else (at, value)
        grown = value - before if value >= before else value
        if last is None or last[_SLOT] != number:
            last = [number, since, value, at, value, 0.0, 0.0, 0.0, 0.0, value, value, 0.0, 0.0]
            self._slots.append(last)
            self._forget(number)
        last[_LAST_AT], last[_LAST] = at, value
        last[_GROWN] += grown
        last[_SUM] += value
        last[_SQUARES] += value * value
        last[_COUNT] += 1
        last[_LEAST], last[_MOST] = min(last[_LEAST], value), max(last[_MOST], value)
        last[_CHANGES] += value != before
        last[_RESETS] += value < before

    def _forget(self, number: float) -> None:
        while self._slots[0][_SLOT] < number - SLOTS:
            del self._slots[0]

    def before(self, at: float) -> float | None:
        """The newest value that is not younger than `at`, to a twelfth of the range."""
        for slot in reversed(self._slots):
            if slot[_LAST_AT] <= at:
                return slot[_LAST] if at - slot[_LAST_AT] <= STALE_S + self._width_s else None
        return None

    def over(self, function: str, now: float, ahead_s: float = 0.0) -> float | None:
        """A function over the range that ends now; None when there is too little in it."""
        oldest = (now - self.range_s) // self._width_s
        slots = [slot for slot in self._slots if slot[_SLOT] > oldest or slot[_LAST_AT] >= now - self.range_s]
        if not slots:
            return None
        count = sum(slot[_COUNT] for slot in slots)
        total = sum(slot[_SUM] for slot in slots)
        last = slots[-1]
        match function:
            case "rate" | "irate" | "increase":
                covered_s = last[_LAST_AT] - slots[0][_SINCE]
                if covered_s <= 0:
                    return None
                grown = sum(slot[_GROWN] for slot in slots)
                return grown if function == "increase" else grown / covered_s
            case "delta" | "idelta":
                return last[_LAST] - slots[0][_FIRST] if count > 1 else None
            case "deriv" | "predict_linear":
                return _line(slots, now, ahead_s, function)
            case "avg_over_time":
                return total / count
            case "stddev_over_time":
                return sqrt(max(0.0, sum(slot[_SQUARES] for slot in slots) / count - (total / count) ** 2))
        return _simple(function, slots, total, count)

    def state(self) -> list[list[float]]:
        return [[self.range_s], *self._slots]

    @classmethod
    def restored(cls, state: list[list[float]]) -> Samples:
        samples = cls(state[0][0])
        samples._slots = [list(slot) for slot in state[1:]]
        return samples


def _simple(function: str, slots: list[list[float]], total: float, count: float) -> float:
    match function:
        case "sum_over_time":
            return total
        case "count_over_time":
            return count
        case "min_over_time":
            return min(slot[_LEAST] for slot in slots)
        case "max_over_time":
            return max(slot[_MOST] for slot in slots)
        case "changes":
            return sum(slot[_CHANGES] for slot in slots)
        case "resets":
            return sum(slot[_RESETS] for slot in slots)
        case "last_over_time":
            return slots[-1][_LAST]
    return 1.0  # present_over_time


def _line(slots: list[list[float]], now: float, ahead_s: float, function: str) -> float | None:
    """Least squares through the last value of each slot."""
    if len(slots) < 2:
        return None
    times = [slot[_LAST_AT] - now for slot in slots]
    values = [slot[_LAST] for slot in slots]
    mean_t, mean_v = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - mean_t) ** 2 for t in times)
    if spread <= 0:
        return None
    slope = sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values, strict=True)) / spread
    return slope if function == "deriv" else mean_v + slope * (ahead_s - mean_t)
