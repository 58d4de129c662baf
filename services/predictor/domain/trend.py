"""Is a window of readings really climbing, and how fast? Noise, bursts and steps must not look like a trend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist, median

import numpy as np
from numpy.typing import NDArray

_Z_90 = NormalDist().inv_cdf(0.95)
_BLOCKS = 4
_SD_PER_MAD = 1.4826
_BENEFIT = 0.5
_WIDEST = 2.0
"""Most that autocorrelation may widen the interval: with few points its estimate is itself poor."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight climb through one window.

    `low_per_s` and `high_per_s` bound the 90 % interval of the slope; `noise` is the robust standard deviation of
    the readings about the line; `z` is Kendall's S in standard deviations; times are seconds.
    """

    slope_per_s: float
    low_per_s: float
    high_per_s: float
    noise: float
    z: float
    span_s: float
    ends_s: float
    points: int
    more: float
    """How much further it goes if it keeps slowing down as it does; infinite when it isn't seen to slow down."""

    @property
    def rise(self) -> float:
        return self.slope_per_s * self.span_s


@dataclass(frozen=True, slots=True)
class Strictness:
    """What a window must show before it counts as a climb."""

    z_min: float = 4.0
    """Kendall's z: 4 is one chance in 30,000 for white noise."""
    rise_per_noise: float = 4.0
    block_low: float = 0.25
    block_high: float = 3.0
    """Each quarter of the window must climb at between these multiples of the whole window's slope: a step does
    all its climbing in one quarter, a burst climbs and falls."""
    newest_low: float = 0.5
    """The newest quarter's, stricter: a cache that fills or a program that warms up slows down."""


def fit(times_s: Sequence[float], values: Sequence[float], strictness: Strictness) -> Trend | None:
    """The window's climb, or None when it shows none.

    Slope: Theil–Sen, the median over all pairs (Theil 1950). Its 90 % interval: Sen 1968, from Kendall's variance
    n(n−1)(2n+5)/18, widened by √((1+ρ)/(1−ρ)) for residuals with lag-1 autocorrelation ρ (Yue & Wang 2004), at
    most twofold. Times must increase strictly.
    """
    blocks = _block_slopes(times_s, values)
    if min(blocks) <= 0:  # cheap, and true of nearly every window of a healthy series
        return None
    t = np.asarray(times_s, dtype=np.float64)
    x = np.asarray(values, dtype=np.float64)
    first, second = _pairs(len(t))
    rises = x[second] - x[first]
    slopes = np.sort(rises / (t[second] - t[first]))
    slope = float(np.median(slopes))
    z = float(np.sign(rises).sum()) / _kendall_sd(len(t))
    if slope <= 0 or z < strictness.z_min:
        return None
    if min(blocks) < strictness.block_low * slope or max(blocks) > strictness.block_high * slope:
        return None
    if blocks[-1] < strictness.newest_low * slope:
        return None
    residuals = x - slope * t
    residuals -= np.median(residuals)
    noise = float(np.median(np.abs(residuals))) * _SD_PER_MAD
    span = float(t[-1] - t[0])
    if slope * span < strictness.rise_per_noise * noise:
        return None
    reach = _Z_90 * _kendall_sd(len(t)) * _widening(residuals)
    lowest = max(0, math.floor((len(slopes) - reach) / 2))
    low, high = float(slopes[lowest]), float(slopes[len(slopes) - 1 - lowest])
    if low <= 0:
        return None
    return Trend(slope, low, high, noise, z, span, float(t[-1]), len(t), _more(blocks, noise, span, len(t)))


@lru_cache(maxsize=64)
def _pairs(points: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(points, 1)
    return first, second


def _kendall_sd(points: int) -> float:
    return math.sqrt(points * (points - 1) * (2 * points + 5) / 18)


def _widening(residuals: NDArray[np.float64]) -> float:
    power = float(np.dot(residuals, residuals))
    if power <= 0:
        return 1.0
    rho = min(max(float(np.dot(residuals[:-1], residuals[1:])) / power, 0.0), 0.9)
    return min(_WIDEST, math.sqrt((1 + rho) / (1 - rho)))


def _more(blocks: Sequence[float], noise: float, span_s: float, points: int) -> float:
    """What is left of a climb whose quarters shrink like a geometric series (a warm-up, a filling cache).

    The ratio of the last to the first quarter's slope is taken half a standard error above its estimate, so that
    noise seldom makes a leak look as if it were ending.
    """
    block_s = span_s / _BLOCKS
    deviation = math.sqrt(2) * 1.2533 * noise / math.sqrt(points / _BLOCKS) / block_s  # of a difference of medians
    first, last = blocks[0], blocks[-1]
    ratio = (last + _BENEFIT * math.sqrt(2) * deviation) / first
    if ratio >= 1:
        return math.inf
    shrink = math.pow(max(ratio, 0.0), 1 / (len(blocks) - 1))
    return last * block_s * shrink / (1 - shrink)


def _block_slopes(times_s: Sequence[float], values: Sequence[float]) -> list[float]:
    """Slopes between the medians of successive quarters of the window."""
    points = len(values)
    edges = [round(points * block / _BLOCKS) for block in range(_BLOCKS + 1)]
    centres = [(median(times_s[start:end]), median(values[start:end])) for start, end in pairwise(edges)]
    return [(v2 - v1) / (t2 - t1) for (t1, v1), (t2, v2) in pairwise(centres)]
