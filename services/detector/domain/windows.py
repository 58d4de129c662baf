"""Sums over the last seconds in constant memory: what bursts and ratios are counted with."""

from __future__ import annotations

BUCKETS = 10


class SlidingSum:
    """Sum of amounts added during the last `window_s` seconds, to a tenth of the window.

    >>> window = SlidingSum(10.0)
    >>> window.add(100.0, 3.0); window.add(104.0, 2.0)
    >>> window.total(105.0), window.total(112.0), window.total(120.0)
    (5.0, 2.0, 0.0)
    """

    __slots__ = ("_buckets", "_head", "_width_s")

    def __init__(self, window_s: float, buckets: int = BUCKETS) -> None:
        self._width_s = window_s / buckets
        self._buckets = [0.0] * buckets
        self._head = 0

    def add(self, at: float, amount: float) -> None:
        """Count `amount` at `at`; what is older than the window is left out."""
        slot = int(at / self._width_s)
        self._advance(slot)
        size = len(self._buckets)
        if slot > self._head - size:
            self._buckets[slot % size] += amount

    def total(self, now: float) -> float:
        self._advance(int(now / self._width_s))
        return sum(self._buckets)

    def _advance(self, slot: int) -> None:
        gone = slot - self._head
        if gone <= 0:
            return
        size = len(self._buckets)
        if gone >= size:
            self._buckets = [0.0] * size
        else:
            for passed in range(self._head + 1, slot + 1):
                self._buckets[passed % size] = 0.0
        self._head = slot

    def state(self) -> list[float]:
        return [self._width_s, float(self._head), *self._buckets]

    @classmethod
    def restored(cls, state: list[float]) -> SlidingSum:
        window = cls(state[0] * BUCKETS)
        window._width_s = state[0]  # not recomputed: a rounding error would move every bucket
        window._head = int(state[1])
        window._buckets = list(state[2:])
        return window
