"""Other ways to remember runs, beside the product's: what each still counts as evidence."""

from __future__ import annotations

from collections import deque
from math import log, sqrt
from typing import Protocol

from services.learner.domain.memory import Memory, Remembered


class Remembers(Protocol):
    def add(self, helped: bool) -> object: ...

    def remembered(self) -> Remembered: ...


class Nothing:
    """The diagnosis alone."""

    def add(self, helped: bool) -> None:
        pass

    def remembered(self) -> Remembered:
        return Remembered()


class Everything:
    """Every run counts for ever."""

    def __init__(self) -> None:
        self._runs = self._successes = 0

    def add(self, helped: bool) -> None:
        self._runs += 1
        self._successes += helped

    def remembered(self) -> Remembered:
        return Remembered(self._runs, self._successes)


class Discounted:
    """Each run counts `keep` of what it counted one run before."""

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._runs = self._successes = 0.0

    def add(self, helped: bool) -> None:
        self._runs = self._runs * self._keep + 1
        self._successes = self._successes * self._keep + helped

    def remembered(self) -> Remembered:
        return Remembered(self._runs, self._successes)


class Window:
    """The newest runs."""

    def __init__(self, runs: int) -> None:
        self._runs: deque[bool] = deque(maxlen=runs)

    def add(self, helped: bool) -> None:
        self._runs.append(helped)

    def remembered(self) -> Remembered:
        return Remembered(len(self._runs), sum(self._runs))


class Adwin:
    """A window that drops its older part where the two differ (Bifet and Gavaldà 2007), every cut being looked at."""

    def __init__(self, delta: float = 0.05) -> None:
        self._delta = delta
        self._runs: list[bool] = []

    def add(self, helped: bool) -> bool:
        self._runs.append(helped)
        total, whole, old, cut = len(self._runs), sum(self._runs), 0, 0
        variance = whole / total * (1 - whole / total)
        for size in range(1, total):
            old += self._runs[size - 1]
            mean = 1 / (1 / size + 1 / (total - size))
            bound = log(2 * log(max(total, 3)) / self._delta)
            if (
                abs(old / size - (whole - old) / (total - size))
                > sqrt(2 / mean * variance * bound) + 2 / (3 * mean) * bound
            ):
                cut = size
        self._runs = self._runs[cut:]
        return cut > 0

    def remembered(self) -> Remembered:
        return Remembered(len(self._runs), sum(self._runs))


class PageHinkley:
    """Forgets all when runs helped less, or more, than they used to (Page 1954), by so much in sum."""

    def __init__(self, slack: float = 0.1, limit: float = 3.0) -> None:
        self._slack, self._limit = slack, limit
        self._forget()

    def _forget(self) -> None:
        self._runs = self._successes = 0
        self._worse = self._better = 0.0

    def add(self, helped: bool) -> bool:
        mean = (self._successes + 1) / (self._runs + 2)
        self._worse = max(0.0, self._worse + mean - helped - self._slack)
        self._better = max(0.0, self._better + helped - mean - self._slack)
        told = max(self._worse, self._better) > self._limit
        if told:
            self._forget()
        self._runs += 1
        self._successes += helped
        return told

    def remembered(self) -> Remembered:
        return Remembered(self._runs, self._successes)


__all__ = ["Adwin", "Discounted", "Everything", "Memory", "Nothing", "PageHinkley", "Remembers", "Window"]
