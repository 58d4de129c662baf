"""Several series of a component that are each a little unusual together.

What is followed is the mean, over the series that come in one batch, of the rarity that their usual ranges give
(`adaptive`): many that stir at once lift it where none alone is news. How often the mean is how large differs from
component to component (how many series, and how they hang together), so its upper tail is followed by peaks over
threshold like that of a series: Siffer et al., KDD 2017, made incremental. Decision 0032.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log1p, sqrt

from services.detector.domain.adaptive import LEAST_GAIN, MOST, NORMAL_BEYOND, NORMAL_QUANTILE, REST, SHAPE, TAIL

LEAST_SERIES = 3
WARM_UP = 100
"""Batches before anything is said."""
NEWS = 2.8
"""Minus the decimal logarithm of the share of batches whose mean rarity may reach the one that is told."""
LEAST_EXCESS = 1e-3
ODD_EXCESS = 5.0
"""An excess teaches for at most so many mean excesses: it may be a true alarm."""
_LN10 = log(10)
_TAIL_RARITY = -log(TAIL) / _LN10
_RARITY = 1.0 / (SHAPE * _LN10)


@dataclass(slots=True)
class Joint:
    """The upper tail of one batch's mean rarity.

    >>> joint = Joint()
    >>> quiet = [joint.update(0.1 * (i % 7)) for i in range(400)]
    >>> max(quiet) < NEWS, joint.update(4.0) > NEWS
    (True, True)
    """

    count: int = 0
    quantile: float = 0.0
    """The 95 % quantile; the running mean while warming up."""
    over: float = 0.0
    """Mean over all batches of the excess over it (mean excess × TAIL); the running variance while warming up."""
    told: int = -REST
    """Number of the batch that was news last."""
    news: int = 0

    def update(self, mean_rarity: float) -> float:
        """Learn one batch; how rare it is (minus a decimal logarithm), at least NEWS if and only if it is news."""
        self.count += 1
        if self.count <= WARM_UP:
            self._warm(mean_rarity)
            return 0.0
        mean_excess = max(self.over / TAIL, LEAST_EXCESS)
        excess = mean_rarity - self.quantile
        gain = max(1.0 / self.count, LEAST_GAIN)
        rarity = 0.0
        if excess > 0.0:
            rarity = min(_TAIL_RARITY + _RARITY * log1p(SHAPE / (1.0 - SHAPE) * excess / mean_excess), MOST)
        self.quantile += gain * mean_excess / TAIL * ((excess > 0.0) - TAIL)
        self.over += gain * (min(max(excess, 0.0), ODD_EXCESS * mean_excess) - self.over)
        if rarity >= NEWS:
            if self.count - self.told <= REST:
                return 0.0
            self.told = self.count
            self.news += 1
        return rarity

    def _warm(self, value: float) -> None:
        difference = value - self.quantile
        self.quantile += difference / self.count
        self.over += (difference * (value - self.quantile) - self.over) / self.count
        if self.count == WARM_UP:
            spread = sqrt(max(self.over, LEAST_EXCESS**2))
            self.quantile += NORMAL_QUANTILE * spread
            self.over = NORMAL_BEYOND * spread
