"""When and how far one series left its usual level: found in the readings, not taken from when somebody noticed.

Method: level and noise are the median and MAD of the readings before the search begins. The deviating episode is the
stretch with the greatest sum of min(|z|, CLIP) − DRIFT, one direction at a time: the maximum likelihood estimate of
both ends of a mean shift (CUSUM; Page 1954, Bentley's scan), robust through the clip. Late detection therefore moves
nothing but where the search begins, and a trouble that is over is still found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.diagnoser.domain.ranking.kinds import FAILURES, is_share, kind_of
from services.diagnoser.domain.ranking.memory import Floats

LOOKBACK_S = 180.0
"""A trouble may have begun so long before it was noticed."""
LOOKBACK_READINGS = 2
OVER_S = 10.0
"""An episode that doesn't last so long (or two readings) after the trouble was noticed was over by then."""
BASE_LEAST = 8
"""Readings before the search that tell what is usual."""
DRIFT = 3.0
CLIP = 8.0
ENOUGH = 6.0
"""Sum from which an episode counts: two readings six deviations away. A single one never does …"""
ENOUGH_SLOW, SLOW_S = 5.0, 60.0
"""… unless readings come a minute or more apart: each then sums up many calls, and one far off is enough."""
RELATIVE_NOISE = 0.05
"""Less than this share of the level is no news, however quiet the series was."""
SHARE_NOISE = 0.0025
"""Least noise of shares of failed calls: a quarter of a percent."""
AMOUNT_NOISE = 0.1
"""Least noise of numbers of failures, as a share of the largest seen: there are usually none."""


@dataclass(frozen=True, slots=True)
class Shift:
    """An episode: the levels before and in it, and the noise."""

    onset_s: float
    until_s: float
    before: float
    after: float
    noise: float
    lost: float
    """Distance from the level, summed over the episode's time: unit × seconds."""
    every_s: float
    """Usual time from one reading to the next."""
    stale: bool
    """It was there when the search began: it may be much older."""
    over: bool
    """It had ended when the trouble was noticed."""

    @property
    def score(self) -> float:
        """Deviations by which the level moved, with its sign."""
        return (self.after - self.before) / self.noise


def find_shift(times: Floats, values: Floats, metric: str, noticed_s: float) -> Shift | None:
    """The strongest episode that was under way or began at most LOOKBACK_S before `noticed_s`; None without one."""
    start = search_start(times, noticed_s)
    if start < BASE_LEAST or start >= len(times):
        return None
    failures = kind_of(metric) in FAILURES
    share = failures and is_share(metric)
    if share:
        values = as_shares(values)
    before = float(np.median(values[:start]))
    noise = _noise(values[:start], before, share=share)
    if failures and not share:
        noise = max(noise, AMOUNT_NOISE * float(np.max(np.abs(values))))
    z = (values[start:] - before) / noise
    best = max((_episode(sign * z) for sign in (1.0, -1.0)), key=lambda found: found[0])
    total, first, last = best
    interval_s = float(np.median(np.diff(times[start - 1 :])))
    if total < (ENOUGH_SLOW if interval_s >= SLOW_S else ENOUGH):
        return None
    inside = values[start + first : start + last + 1]
    return Shift(
        onset_s=float(times[start + first]),
        until_s=float(times[start + last]),
        before=before,
        after=float(np.median(inside)),
        noise=noise,
        lost=float(np.sum(np.abs(inside - before))) * interval_s,
        every_s=interval_s,
        stale=first == 0,
        over=float(times[start + last]) < min(noticed_s + max(OVER_S, 2 * interval_s), float(times[-1])),
    )


def search_start(times: Floats, noticed_s: float) -> int:
    """Index of the first reading that may be part of the trouble. Of a young series the first half is the usual."""
    at = int(np.searchsorted(times, noticed_s, side="right"))
    by_time = int(np.searchsorted(times, noticed_s - LOOKBACK_S))
    start = max(0, min(by_time, at - LOOKBACK_READINGS))
    return start if start >= BASE_LEAST else max(start, min(at // 2, at - LOOKBACK_READINGS))


def as_shares(values: Floats) -> Floats:
    """Shares of calls as 0 to 1, also when they are told in percent.

    >>> as_shares(np.array([100.0, 50.0])).tolist(), as_shares(np.array([1.0, 0.5])).tolist()
    ([1.0, 0.5], [1.0, 0.5])
    """
    return values / 100.0 if len(values) and 1.5 < float(np.max(values)) <= 100.0 + 1e-6 else values


def _noise(usual: Floats, level: float, *, share: bool) -> float:
    mad = 1.4826 * float(np.median(np.abs(usual - level)))
    if share:
        return max(mad, SHARE_NOISE)
    spread = float(np.quantile(usual, 0.75) - np.quantile(usual, 0.25)) / 1.349
    largest = float(np.max(np.abs(usual)))
    return max(mad, spread, RELATIVE_NOISE * abs(level), 1e-3 * largest, 1e-9)


def _episode(z: Floats) -> tuple[float, int, int]:
    """The stretch of readings with the greatest sum (Kadane's scan): sum, first and last index."""
    best = (0.0, 0, -1)
    total, first = 0.0, 0
    for index, gain in enumerate(np.minimum(z, CLIP) - DRIFT):
        if total <= 0.0:
            total, first = 0.0, index
        total += float(gain)
        if total > best[0]:
            best = (total, first, index)
    return best
