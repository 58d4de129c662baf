"""Learns what a series usually does as it streams by, and how unusual each reading is.

Method: peaks over threshold on six views of the series, and the mean of what they say. The views: the reading less what
is usual at this hour of the day, and the fast mean of that; the slow mean; how much it moves from one reading to the
next; and two fast means less a slow one (so that a drift, a step, a burst and a missing wave each show somewhere). Of
each view both tails are followed: the 5 % quantile by Robbins–Monro steps of Newton's size, and the mean excess beyond
it. Excesses are taken as generalised Pareto with a slightly heavy tail (SHAPE), which gives the probability of a value:
Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017, with its quantile and fit made
incremental. The score is the mean over the views of minus the decimal logarithm of that probability: views that agree
add up, one odd view alone must be very odd. What was tried and lost: decision 0015.

A reading is news when its score reaches `limit`, not for a while after other news, and each piece of news makes the
next less so. The limit is NEWS; or, for those who ask for a rate of false alarms, what `limit_for` it says: peaks over
threshold once more, of this series' own score. Memory and time per reading are constant: no window is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, log1p, pi, sqrt

WARM_UP = 50
"""Readings before anything is said."""
TAIL = 0.05
"""Share of values of a view beyond each quantile."""
SHAPE = 0.1
"""Of the generalised Pareto distribution of excesses; 0 would be exponential."""
NEWS = 1.92
"""Score from which a reading is an anomaly. This, the views, REST and HABIT were tuned on every second series of the
Numenta Anomaly Benchmark (in order of name) and judged on the others."""
REST = 64
"""Readings after news during which nothing is."""
HABIT = 0.3
"""What each piece of news adds to the score the next must reach, fading over HABIT_READINGS."""
HABIT_READINGS = 600.0
GAIN = 1.0 / TAIL
"""Newton's step for a quantile: one over the density beyond it."""
LEAST_GAIN = 0.002
"""Keeps the quantile able to follow a series that changes for good."""
STIR = 0.75 * NEWS
"""Score from which a reading is part of a stir: the peaks of stirs are what alarms are made of."""
PRIOR_STIRS, PRIOR_SHARE, PRIOR_PEAK = 10.0, 0.002, 0.3
"""What is believed before there were stirs: so many, one in so many readings, peaking so far beyond STIR."""
ODD_PEAK = 3.0
"""A peak counts for at most so many mean peaks: it may be a true alarm, and those mustn't raise the limit much."""
LEAST_EXCESS = 1e-3
"""Mean excess of a view that never moved, as a share of the series' level."""
MOST = 30.0
"""Most that one view says."""
SETTLE = 8
"""Readings between two settlings: what is learned from usual readings needs no haste."""
USUAL_RARITY = 3.0
"""Of the range that is shown as expected: one reading in a thousand lies beyond each end."""
NORMAL_QUANTILE, NORMAL_BEYOND = 1.645, 0.0209
"""Of the standard normal distribution: its 95 % quantile, and its mean over all values beyond that."""
HOURS = 24
HOUR_S = 3_600.0
FADE = 0.93
"""What is left, a day later, of the weight of what an hour of the day used to be like."""
VIEWS = 6
_3, _5, _9, _15, _27, _160 = 1.0 / 3.0, 1.0 / 5.0, 1.0 / 9.0, 1.0 / 15.0, 1.0 / 27.0, 1.0 / 160.0
"""Weights of the exponential means, by the readings they reach back."""
_LN10 = log(10)
_TAIL_RARITY = -log(TAIL) / _LN10
_WITHIN = 1.0 / (TAIL * _LN10)
_RARITY = 1.0 / (SHAPE * _LN10)
_SCALE = SHAPE / (1.0 - SHAPE)
_REACH = (10.0 ** (SHAPE * (USUAL_RARITY - _TAIL_RARITY)) - 1.0) / (_SCALE * TAIL)
"""Mean excesses × TAIL from a quantile to the end of the range that is shown as expected."""


@dataclass(slots=True)
class UsualRange:
    """What one series usually does.

    `above`, `below`: the 95 and 5 % quantiles of each view; `over`, `under`: mean over all readings of how far the view
    lies beyond that quantile (mean excess × TAIL). While warming up, `above` and `over` hold running means and
    variances of the views instead.

    >>> usual = UsualRange()
    >>> quiet = [usual.update(100.0 + (i % 5)) for i in range(200)]
    >>> max(quiet) < NEWS, usual.update(180.0) > NEWS, usual.update(181.0)
    (True, True, 0.0)
    """

    count: int = 0
    last: float = 0.0
    told: int = -REST
    """Number of the reading that was news last."""
    news: int = 0
    """Pieces of news so far."""
    low: float = 0.0
    high: float = 0.0
    """The range within which all but a few readings lay when there was news last."""
    habit: float = 0.0
    score: float = 0.0
    """Of the newest reading."""
    rarity: float = 0.0
    """The same, were there neither rest nor habit."""
    limit: float = NEWS
    """Score from which a reading is news."""
    stirs: int = 0
    stirred: int = -REST
    """Stirs so far, and the number of the reading with which the last began."""
    peak: float = 0.0
    peaks: float = 0.0
    """How far beyond STIR the last stir and all of them together came."""
    means: list[float] = field(default_factory=lambda: [0.0] * 4)
    """Exponential means of the readings: of the last 5, 15, 27 and 160."""
    moved: float = 0.0
    """Exponential mean of the distance between one reading and the next."""
    off: float = 0.0
    """Exponential mean of the distance from what is usual at the hour."""
    hour: int = 0
    day: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    seen: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    """Mean reading of each hour of the day, and the fading number of readings it is the mean of."""
    above: list[float] = field(default_factory=lambda: [0.0] * VIEWS)
    below: list[float] = field(default_factory=lambda: [0.0] * VIEWS)
    over: list[float] = field(default_factory=lambda: [0.0] * VIEWS)
    under: list[float] = field(default_factory=lambda: [0.0] * VIEWS)

    def update(self, x: float, at: float = 0.0) -> float:
        """Learn one finite reading of a time (seconds since 1970; without clock always 0); its score, at least `limit`
        if and only if it is news. Nothing unusual is 0."""
        count = self.count
        self.count = count + 1
        if count < WARM_UP:
            self._warm(x, at, count)
            return 0.0
        m5, m15, m27, m160 = self.means
        m5 += _5 * (x - m5)
        m15 += _15 * (x - m15)
        m27 += _27 * (x - m27)
        m160 += _160 * (x - m160)
        self.means = [m5, m15, m27, m160]
        moved = self.moved
        moved += _9 * (abs(x - self.last) - moved)
        self.moved = moved
        self.last = x
        now = self._off_hour(x, at)
        off = self.off
        off += _3 * (now - off)
        self.off = off
        a, b, c, d, e, f = self.above
        g, h, i, j, k, l = self.below  # noqa: E741 - six views, in this order
        step, drift = m5 - m160, m15 - m160
        score = self.rarity = 0.0
        if not (
            g <= now <= a and h <= off <= b and i <= m27 <= c and j <= moved <= d and k <= step <= e and l <= drift <= f
        ):
            score = self._beyond((now, off, m27, moved, step, drift), count)
        if count % SETTLE == 0:
            self._settle(count)
        self.score = score
        return score

    def resume(self, x: float) -> None:
        """The series was away for long: what it did before says nothing of how it moved to `x`."""
        if self.count >= WARM_UP:
            self.means = [x] * 4
            self.last = x

    def limit_for(self, per_reading: float) -> float:
        """The limit that only this share of readings exceeds by chance, as far as the series has shown."""
        stirs = PRIOR_STIRS + self.stirs
        share = stirs / (PRIOR_STIRS / PRIOR_SHARE + self.count)
        mean_peak = (PRIOR_STIRS * PRIOR_PEAK + self.peaks) / stirs
        return STIR + max(0.0, mean_peak * log(share / per_reading))

    def _off_hour(self, x: float, at: float) -> float:
        """How far the reading lies from what is usual at its hour of the day; learns it."""
        hour = int(at // HOUR_S) % HOURS
        seen = self.seen[hour]
        if hour != self.hour:
            self.hour = hour
            seen *= FADE
        usual = self.day[hour]
        now = x - usual if seen else 0.0
        self.seen[hour] = seen = seen + 1.0
        self.day[hour] = usual + (x - usual) / seen
        return now

    def _beyond(self, values: tuple[float, ...], count: int) -> float:
        """Learn the excesses over the quantiles; the mean rarity."""
        gain = max(GAIN / count, LEAST_GAIN)
        usual = self.last - values[0]
        low = usual + self.below[0] - self.under[0] * _REACH
        high = usual + self.above[0] + self.over[0] * _REACH
        total = 0.0
        within = []
        for view, value in enumerate(values):
            if value > self.above[view]:
                total += self._excess(self.above, self.over, view, value - self.above[view], 1.0, gain)
            elif value < self.below[view]:
                total += self._excess(self.below, self.under, view, self.below[view] - value, -1.0, gain)
            else:
                within.append(view)
        if total + len(within) * _TAIL_RARITY < VIEWS * STIR:
            self.rarity = total / VIEWS
            return self.rarity  # far from news, however the others stand
        for view in within:
            value, over, under = values[view], self.over[view], self.under[view]
            higher = (value - self.above[view]) / over * TAIL if over > 0.0 else -MOST
            lower = (self.below[view] - value) / under * TAIL if under > 0.0 else -MOST
            total += max(0.0, _TAIL_RARITY + max(higher, lower) / _LN10)
        self.rarity = total / VIEWS
        score = self._judge(self.rarity, count)
        if score >= self.limit:
            self.low, self.high = low, high
        return score

    def _excess(
        self, quantiles: list[float], beyond: list[float], view: int, excess: float, side: float, gain: float
    ) -> float:
        """Learn that one view lies beyond one quantile; how rare that is."""
        mean_excess = beyond[view] / TAIL or LEAST_EXCESS * (abs(self.means[3]) + 1e-9)
        rarity = _TAIL_RARITY + _RARITY * log1p(_SCALE * (excess / mean_excess))
        step = min(gain * mean_excess, excess)
        quantiles[view] += side * step
        beyond[view] = max(0.0, beyond[view] + excess / self.count - TAIL * step)
        return min(rarity, MOST)

    def _settle(self, count: int) -> None:
        """What the readings within the quantiles teach, for SETTLE of them at once: each draws them a little nearer."""
        gain = max(GAIN / count, LEAST_GAIN)
        nearer, less = SETTLE * gain, 1.0 + SETTLE * (TAIL * gain - 1.0 / count)
        self.above = [quantile - nearer * beyond for quantile, beyond in zip(self.above, self.over, strict=True)]
        self.below = [quantile + nearer * beyond for quantile, beyond in zip(self.below, self.under, strict=True)]
        self.over = [less * beyond for beyond in self.over]
        self.under = [less * beyond for beyond in self.under]

    def _judge(self, score: float, count: int) -> float:
        if score >= STIR:
            self._stir(score - STIR, count)
        silence = count - self.told
        if silence <= REST:
            return 0.0
        if score < self.limit:
            return score
        habit = self.habit * exp(-silence / HABIT_READINGS)
        if score - habit < self.limit:
            return score - habit
        self.told, self.habit = count, habit + HABIT
        self.news += 1
        return score - habit

    def _stir(self, peak: float, count: int) -> None:
        if count - self.stirred > REST:
            self.stirs += 1
            self.stirred, self.peak = count, 0.0
        most = ODD_PEAK * (PRIOR_STIRS * PRIOR_PEAK + self.peaks) / (PRIOR_STIRS + self.stirs)
        peak = min(peak, most)
        if peak > self.peak:
            self.peaks += peak - self.peak
            self.peak = peak

    def _warm(self, x: float, at: float, count: int) -> None:
        """Running means and variances (Welford); at the end, the tails of normal distributions that have them."""
        if count == 0:
            self.means = [x] * 4
            self.last = x
        least = 1.0 / (count + 1)
        for index, weight in enumerate((_5, _15, _27, _160)):
            self.means[index] += max(weight, least) * (x - self.means[index])
        self.moved += max(_9, least) * (abs(x - self.last) - self.moved)
        self.last = x
        now = self._off_hour(x, at)
        self.off += max(_3, least) * (now - self.off)
        m5, m15, m27, m160 = self.means
        means, variances = self.above, self.over
        for view, value in enumerate((now, self.off, m27, self.moved, m5 - m160, m15 - m160)):
            difference = value - means[view]
            means[view] += difference * least
            variances[view] += (difference * (value - means[view]) - variances[view]) * least
        if count == WARM_UP - 1:
            spread = [sqrt(max(0.0, variance)) for variance in variances]
            centre = list(means)
            self.above = [mean + NORMAL_QUANTILE * each for mean, each in zip(centre, spread, strict=True)]
            self.below = [mean - NORMAL_QUANTILE * each for mean, each in zip(centre, spread, strict=True)]
            self.over = [NORMAL_BEYOND * each for each in spread]
            self.under = list(self.over)


def deviations(score: float) -> float:
    """Standard deviations at which a normal distribution's tail is as rare as a score says (to 2 %, from 2 on).

    >>> round(deviations(3.0), 1), round(deviations(9.0), 1)
    (3.1, 6.0)
    """
    rarity = 2.0 * _LN10 * score
    return sqrt(rarity - log(rarity) - log(2.0 * pi))
