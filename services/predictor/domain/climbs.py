"""Climbs that ended by themselves: a garbage collector's sawtooth is not a leak, however steep its teeth."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_REMEMBERED = 8
_HARMLESS_BELOW = 0.9
"""A climb that got nearer to the limit than this share of it didn't end harmlessly."""
_ALIKE = 3.0
"""Two climbs are alike when neither is steeper than this multiple of the other."""
_OVERSHOOT = 0.1
_GIVEN_BACK = 0.5
_WORTH = 8.0
"""Rises smaller than the headroom divided by this are never extrapolated, so they needn't be remembered."""


@dataclass(frozen=True, slots=True)
class Climb:
    slope_per_s: float
    trough: float
    peak: float


@dataclass(frozen=True, slots=True)
class ClimbsState:
    """Trough and peak as (seconds, value), and the climbs remembered."""

    trough: tuple[float, float] | None
    peak: tuple[float, float]
    past: list[Climb]


class Climbs:
    """Follows troughs and peaks, and remembers climbs that fell back by more than half of what they had risen."""

    def __init__(self) -> None:
        self._past: deque[Climb] = deque(maxlen=_REMEMBERED)
        self._trough: tuple[float, float] | None = None
        self._peak: tuple[float, float] = (0.0, 0.0)

    def add(self, at_s: float, level: float, limit: float) -> None:
        here = (at_s, level)
        if self._trough is None or level < self._trough[1]:
            if self._trough is not None:
                self._remember(level, limit)
            self._trough = self._peak = here
        elif level > self._peak[1]:
            self._peak = here
        elif self._remember(level, limit):
            self._trough = self._peak = here

    def _remember(self, level: float, limit: float) -> bool:
        if self._trough is None:
            return False
        (start_s, trough), (end_s, peak) = self._trough, self._peak
        rise = peak - trough
        fell = rise > 0 and peak - level > _GIVEN_BACK * rise
        if not fell or rise < (limit - peak) / _WORTH or end_s <= start_s:
            return False
        if peak < _HARMLESS_BELOW * limit:
            self._past.append(Climb(rise / (end_s - start_s), trough, peak))
        return True

    def explain(self, slope_per_s: float, level: float, needed: int) -> bool:
        """Whether at least `needed` past climbs went like this one, at least as high, and ended harmlessly."""
        alike = 0
        for climb in self._past:
            similar = slope_per_s / _ALIKE <= climb.slope_per_s <= slope_per_s * _ALIKE
            alike += similar and level <= climb.peak + _OVERSHOOT * (climb.peak - climb.trough)
        return alike >= needed

    def forget(self) -> None:
        """What follows is another system: it was changed, repaired or restarted."""
        self._past.clear()
        self._trough = None

    def dump(self) -> ClimbsState:
        return ClimbsState(self._trough, self._peak, list(self._past))

    def load(self, state: ClimbsState) -> None:
        self._trough, self._peak = state.trough, state.peak
        self._past = deque(state.past, maxlen=_REMEMBERED)
