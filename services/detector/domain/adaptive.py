"""Learns the usual range of a series as it streams by, and says when a reading is news.

Method: peaks over threshold. Of three views of the series (the reading, its exponential mean, the median of its last
three readings) both tails are followed: the 5 % quantile by Robbins–Monro steps of Newton's size, and the mean excess
beyond it. Taking excesses as exponential (Pickands–Balkema–de Haan, shape 0), the probability of a reading follows:
Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017, with its quantile and fit made
incremental. A reading is news when it is rarer than its view's limit, not for a while after other news, and each piece
of news makes the next less so. Memory and time per reading are constant: no window is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, pi, sqrt

WARM_UP = 50
"""Readings before anything is said."""
TAIL = 0.05
"""Share of readings beyond each quantile."""
NEWS = 3.0
"""Score from which a reading is an anomaly: orders of magnitude of rarity, shifted so that all views compare."""
READING_RARITY, MEAN_RARITY, MEDIAN_RARITY = 3.0, 2.5, 4.3
"""Minus decimal logarithm of the probability from which a view is news. These, MEAN_WEIGHT, REST and HABIT were tuned
on every second series of the Numenta Anomaly Benchmark (in order of name) and judged on the others."""
MEAN_WEIGHT = 1.0 / 27.0
GAIN = 20.0
"""Newton's step for a quantile of an exponential tail: one over the density beyond it, 1 / TAIL."""
LEAST_GAIN = 0.002
"""Keeps the quantile able to follow a series that changes for good."""
REST = 64
"""Readings after news during which nothing is."""
HABIT = 0.09
"""What each piece of news adds to the score the next must reach, fading over HABIT_READINGS."""
HABIT_READINGS = 600.0
LEAST_EXCESS = 1e-3
"""Mean excess of a series that never moved, as a share of its level."""
SETTLE = 8
"""Readings between two settlings: what is learned from usual readings needs no haste."""
NORMAL_QUANTILE, NORMAL_BEYOND = 1.645, 0.0209
"""Of the standard normal distribution: its 95 % quantile, and its mean over all readings beyond that."""
_SIDES = (1.0, -1.0, 1.0, -1.0, 1.0, -1.0)
_LIMITS = (READING_RARITY, READING_RARITY, MEAN_RARITY, MEAN_RARITY, MEDIAN_RARITY, MEDIAN_RARITY)
_TAIL_RARITY = -log(TAIL, 10)
_LN10 = log(10)
_MOST = 690.0


@dataclass(slots=True)
class UsualRange:
    """What one series usually does.

    The six tails are, in this order, above and below of the readings, of their mean and of their median. While warming
    up, `quantiles` and `beyond` hold running means and variances of the views instead.

    >>> usual = UsualRange()
    >>> quiet = [usual.update(100.0 + (i % 5)) for i in range(200)]
    >>> max(quiet), usual.update(180.0) > NEWS, usual.update(181.0)
    (0.0, True, 0.0)
    """

    count: int = 0
    mean: float = 0.0
    last: float = 0.0
    before_last: float = 0.0
    told: int = -REST
    """Number of the reading that was news last."""
    habit: float = 0.0
    quantiles: list[float] = field(default_factory=lambda: [0.0] * 6)
    beyond: list[float] = field(default_factory=lambda: [0.0] * 6)
    """Mean over all readings of how far they lie beyond the quantile: mean excess × TAIL."""

    def update(self, x: float) -> float:
        """Learn one finite reading; its score, at least NEWS, if it is news, otherwise 0."""
        count = self.count
        self.count = count + 1
        if count < WARM_UP:
            self._warm(x, count)
            return 0.0
        mean = self.mean = self.mean + MEAN_WEIGHT * (x - self.mean)
        a = self.before_last
        b = self.before_last = self.last
        self.last = x
        median = (b if x >= b else (x if x > a else a)) if b >= a else (b if x <= b else (x if x < a else a))
        high_x, low_x, high_mean, low_mean, high_median, low_median = self.quantiles
        score = 0.0
        if (
            x > high_x
            or x < low_x
            or mean > high_mean
            or mean < low_mean
            or median > high_median
            or median < low_median
        ):
            score = self._beyond((x, mean, median), count)
        if count % SETTLE == 0:
            self._settle(count)
        return score

    def bounds(self) -> tuple[float, float]:
        """The range outside which the next reading would be news."""
        reach = (READING_RARITY - _TAIL_RARITY) * _LN10 / TAIL
        return self.quantiles[1] - self.beyond[1] * reach, self.quantiles[0] + self.beyond[0] * reach

    def _beyond(self, values: tuple[float, float, float], count: int) -> float:
        """Learn the excesses over the quantiles, and judge the rarest."""
        quantiles, beyond = self.quantiles, self.beyond
        gain = max(GAIN / count, LEAST_GAIN)
        rarest = -NEWS
        for tail, side in enumerate(_SIDES):
            quantile = quantiles[tail]
            excess = side * (values[tail >> 1] - quantile)
            if excess <= 0.0:
                continue
            mean_excess = beyond[tail] / TAIL or LEAST_EXCESS * (abs(quantile) + 1e-9)
            rarity = _TAIL_RARITY + min(excess / mean_excess, _MOST) / _LN10 - _LIMITS[tail]
            if rarity > rarest:
                rarest = rarity
            step = min(gain * mean_excess, excess)
            quantiles[tail] = quantile + side * step
            beyond[tail] = max(0.0, beyond[tail] + excess / count - TAIL * step)
        return self._news(NEWS + rarest, count) if rarest >= 0.0 else 0.0

    def _settle(self, count: int) -> None:
        """What the readings within the quantiles teach, for SETTLE of them at once: each draws them a little nearer."""
        quantiles, beyond = self.quantiles, self.beyond
        gain = max(GAIN / count, LEAST_GAIN)
        nearer, less = SETTLE * gain, SETTLE * (TAIL * gain - 1.0 / count)
        for tail, side in enumerate(_SIDES):
            quantiles[tail] -= side * nearer * beyond[tail]
            beyond[tail] += less * beyond[tail]

    def _news(self, score: float, count: int) -> float:
        silence = count - self.told
        if silence <= REST:
            return 0.0
        habit = self.habit * exp(-silence / HABIT_READINGS)
        if score < NEWS + habit:
            return 0.0
        self.told, self.habit = count, habit + HABIT
        return score

    def _warm(self, x: float, count: int) -> None:
        """Running means and variances (Welford); at the end, the tails of normal distributions that have them."""
        if count == 0:
            self.mean = self.last = x
        self.mean += max(MEAN_WEIGHT, 1.0 / (count + 1)) * (x - self.mean)
        self.before_last, self.last = self.last, x
        means, variances = self.quantiles, self.beyond
        for view, value in enumerate((x, self.mean, x)):
            difference = value - means[view]
            means[view] += difference / (count + 1)
            variances[view] += (difference * (value - means[view]) - variances[view]) / (count + 1)
        if count == WARM_UP - 1:
            deviations_ = [sqrt(variance) for variance in variances[:3]]
            self.beyond = [NORMAL_BEYOND * deviations_[tail >> 1] for tail in range(6)]
            self.quantiles = [
                means[tail >> 1] + side * NORMAL_QUANTILE * deviations_[tail >> 1] for tail, side in enumerate(_SIDES)
            ]


def deviations(score: float) -> float:
    """Standard deviations at which a normal distribution's tail is as rare as a score says (to 1 %, from 2.5 on).

    >>> round(deviations(3.0), 1), round(deviations(9.0), 1)
    (3.1, 6.0)
    """
    rarity = 2.0 * _LN10 * score
    return sqrt(rarity - log(rarity) - log(2.0 * pi))
