"""Histograms of both kinds: what was added since the last one, and its quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

MAX_BUCKETS = 512
QUANTILES = ((50, 0.5), (95, 0.95), (99, 0.99))
MIN_SCALE, MAX_SCALE = -10, 20
"""Of exponential histograms, as OpenTelemetry's SDKs use them."""
_MAX_EXPONENT, _MIN_EXPONENT = 1_023.0, -1_074.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts in buckets of one series, from `start_ns` to `at_ns`.

    `layout`: the upper bounds of the buckets, the last bucket having none; or the scale of exponential ones, where
    bucket `i` reaches from `base ** i` to `base ** (i + 1)`, base being `2 ** 2 ** -scale`. Empty buckets are left out.
    """

    start_ns: int
    at_ns: int
    layout: tuple[float, ...] | int
    counts: Mapping[int, int]
    zeros: int = 0
    """Values of exponential histograms that are nothing."""

    @property
    def total(self) -> int:
        return self.zeros + sum(self.counts.values())


def increase(before: Distribution, now: Distribution) -> Distribution | None:
    """What was added between two states of a cumulative histogram; None where that can't be told.

    A series that began anew counts from nothing, if it did so after the state before.
    """
    if now.at_ns <= before.at_ns:
        return None
    if now.start_ns >= before.at_ns > 0:
        return now
    if isinstance(before.layout, int) and isinstance(now.layout, int):
        scale = min(before.layout, now.layout)
        before, now = _coarser(before, scale), _coarser(now, scale)
    if before.layout != now.layout:
        return None
    counts = {i: count - before.counts.get(i, 0) for i, count in now.counts.items()}
    zeros = now.zeros - before.zeros
    if zeros < 0 or any(count < 0 for count in counts.values()) or before.counts.keys() - now.counts.keys():
        return None
    kept = {i: count for i, count in counts.items() if count}
    return Distribution(before.at_ns, now.at_ns, now.layout, kept, zeros)


def quantile(distribution: Distribution, share: float) -> float | None:
    """The value below which `share` (0 to 1) of all lie, interpolated within its bucket: linearly, in exponential
    buckets geometrically. None where there is none. In a bucket without an end it is the bound that is known, as in
    Prometheus's `histogram_quantile`.
    """
    total = distribution.total
    if total == 0:
        return None
    rank = share * total
    below = distribution.zeros
    if rank <= below:
        return 0.0
    for i, count in sorted(distribution.counts.items()):
        if below + count >= rank:
            return _within(distribution.layout, i, (rank - below) / count)
        below += count
    return None  # not reached but for rounding in counts beyond 2**53


def _within(layout: tuple[float, ...] | int, i: int, part: float) -> float | None:
    if isinstance(layout, int):
        exponent = math.ldexp(i + part, -layout)
        return math.exp2(min(max(exponent, _MIN_EXPONENT), _MAX_EXPONENT))
    if not layout:
        return None
    if i >= len(layout):
        return _finite(layout[-1])
    high = layout[i]
    low = layout[i - 1] if i else min(0.0, high)
    if math.isinf(high) or math.isinf(low):
        return _finite(low if math.isinf(high) else high)
    return low * (1 - part) + high * part


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _coarser(distribution: Distribution, scale: int) -> Distribution:
    """The same at a smaller scale: two neighbours become one bucket for each step."""
    assert isinstance(distribution.layout, int)
    steps = distribution.layout - scale
    if steps == 0:
        return distribution
    counts: dict[int, int] = {}
    for i, count in distribution.counts.items():
        counts[i >> steps] = counts.get(i >> steps, 0) + count
    return Distribution(distribution.start_ns, distribution.at_ns, scale, counts, distribution.zeros)


class LastDistributions:
    """The newest state of about the last `most` cumulative histograms. A forgotten one only misses one interval."""

    def __init__(self, most: int = 20_000) -> None:
        self._half = max(1, most // 2)
        self._young: dict[int, Distribution] = {}
        self._old: dict[int, Distribution] = {}

    def newest(self, series: int) -> Distribution | None:
        return self._young.get(series) or self._old.get(series)

    def note(self, series: int, now: Distribution) -> None:
        """To be told only of what is safely stored."""
        before = self.newest(series)
        self._young[series] = now if before is None or now.at_ns >= before.at_ns else before
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}
