"""How often a pattern comes a minute, what is usual, and when it comes far more often or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

MINUTE_S = 60.0
WEIGHT = 0.1
"""Of the newest minute in what is usual: about the last twenty count."""
LEARNED = 15
"""Minutes before anything is called unusual."""
SIGMAS, AT_LEAST = 6.0, 5.0
REGULAR = 2.0
"""Lines a minute from which silence means something."""
SILENT_S = 300.0
MOST_EMPTY = 60
"""Empty minutes in a row that are still learned one by one."""


@dataclass(slots=True)
class Rate:
    """Mean and variance of lines a minute, exponentially weighted, and the minute being counted."""

    minute: int = 0
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0
    minutes: int = 0
    told: int = 0
    """The minute in which a burst was last told."""
    silent: bool = False

    def add(self, now: float) -> bool:
        """Count a line; True once a minute when there are far more than usual."""
        minute = int(now // MINUTE_S)
        if not self.minute:
            self.minute = minute
        elif minute > self.minute:
            self._learn(self.count)
            for _ in range(min(minute - self.minute - 1, MOST_EMPTY)):
                self._learn(0)
            self.minute, self.count = minute, 0
        self.count += 1
        self.silent = False
        if self.minutes < LEARNED or self.told == self.minute or self.count <= self.most:
            return False
        self.told = self.minute
        return True

    @property
    def most(self) -> float:
        """Lines a minute that are still usual: as many as chance alone, or the past, would bring."""
        return self.mean + SIGMAS * sqrt(max(self.variance, self.mean)) + AT_LEAST

    def gone_quiet(self, now: float) -> bool:
        """True once when lines that came regularly have stopped."""
        if self.silent or self.minutes < LEARNED or self.mean < REGULAR or self.variance > 4 * self.mean:
            return False
        self.silent = now - (self.minute + 1) * MINUTE_S > SILENT_S
        return self.silent

    def _learn(self, count: int) -> None:
        if not self.minutes:
            self.mean = float(count)
        off = count - self.mean
        self.mean += WEIGHT * off
        self.variance = (1 - WEIGHT) * (self.variance + WEIGHT * off * off)
        self.minutes += 1
