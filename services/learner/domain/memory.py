"""What past runs still say: truth changes, and runs from before a change say nothing of what comes.

Bayesian online change-point detection (Adams and MacKay 2007) for a chance that holds until it changes: for every
moment since which the chance may have held, how likely that is, and how many runs helped since. So evidence is kept
for as long as it agrees with itself, and forgotten within a few runs when it no longer does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CHANGE_CHANCE = 0.01
"""That the truth changes between two runs of a pair; 0: never. What was learned from outcomes replaces it."""
MOST_MOMENTS = 48
_LEAST_LIKELY = 1e-5
_SURE_OF_CHANGE = 0.9
_RUNS_BEFORE = 5
"""A chance that held for fewer runs was never known: that it is another now is no news."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Evidence as a number of runs and how many of them helped; neither is a whole number."""

    runs: float = 0.0
    successes: float = 0.0

    @property
    def rate(self) -> float:
        """Expected success rate, 0.5 before the first run (Laplace)."""
        return (self.successes + 1) / (self.runs + 2)


@dataclass(frozen=True, slots=True)
class Changed:
    """The chance to help is another than it was: estimates before and since, and the runs since."""

    before: float
    since: float
    runs_since: int


@dataclass(slots=True)
class _Moment:
    """A moment since which the chance may have held."""

    likelihood: float
    runs: int = 0
    successes: int = 0

    def chance(self, helped: bool) -> float:
        return (self.successes + 1 if helped else self.runs - self.successes + 1) / (self.runs + 2)

    @property
    def rate(self) -> float:
        return (self.successes + 1) / (self.runs + 2)


class Memory:
    """Fold over the runs of one pair on one kind of component, oldest first."""

    def __init__(self, change_chance: float = CHANGE_CHANCE) -> None:
        self._change = change_chance
        self._moments: list[_Moment] = [_Moment(1.0)]
        """Newest first; likelihoods sum to 1."""
        self._settled = self._moments[0]
        """The moment since which the chance holds as far as was last told."""

    @classmethod
    def of(cls, runs: Iterable[bool], change_chance: float = CHANGE_CHANCE) -> Memory:
        memory = cls(change_chance)
        for helped in runs:
            memory.add(helped)
        return memory

    @property
    def chance(self) -> float:
        """That the next run helps."""
        return sum(one.likelihood * one.rate for one in self._moments)

    def add(self, helped: bool) -> Changed | None:
        """One more run; tells when it makes a change of the truth certain enough.

        >>> memory = Memory.of([True] * 20)
        >>> [memory.add(False) is None for _ in range(4)]
        [True, True, False, True]
        """
        for one in self._moments:
            one.likelihood *= (1.0 - self._change) * one.chance(helped)
            one.runs += 1
            one.successes += helped
        if self._change > 0 and self._settled.runs > 1:
            self._moments.insert(0, _Moment(self._change * 0.5, 1, int(helped)))
        whole = sum(one.likelihood for one in self._moments)
        for one in self._moments:
            one.likelihood /= whole
        kept = [one for one in self._moments if one.likelihood > _LEAST_LIKELY]
        kept.sort(key=lambda one: one.likelihood, reverse=True)
        self._moments = sorted(kept[:MOST_MOMENTS], key=lambda one: one.runs)
        return self._news()

    def remembered(self) -> Remembered:
        """The chance that the next run helps, with the weight of as many runs as are expected to be since a change.

        >>> Memory.of([True] * 9 + [False], change_chance=0).remembered()
        Remembered(runs=10.0, successes=9.0)
        """
        runs = sum(one.likelihood * one.runs for one in self._moments)
        successes = self.chance * (runs + 2.0) - 1.0
        return Remembered(round(runs, 1), round(min(max(successes, 0.0), runs), 1))

    def _news(self) -> Changed | None:
        before = self._settled
        newer = [one for one in self._moments if one.runs < before.runs]
        if before in self._moments and sum(one.likelihood for one in newer) < _SURE_OF_CHANGE:
            return None
        self._settled = max(self._moments, key=lambda one: one.likelihood)
        if before.runs - self._settled.runs < _RUNS_BEFORE:
            return None
        runs = before.runs - self._settled.runs
        successes = before.successes - self._settled.successes
        return Changed(round((successes + 1) / (runs + 2), 3), round(self._settled.rate, 3), self._settled.runs)
