"""One watched series: takes up readings, notices resets, and says when a limit is coming."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from services.predictor.domain.climbs import Climbs, ClimbsState
from services.predictor.domain.forecast import Forecast, Past, Rules, best_forecast
from services.predictor.domain.history import History, HistoryState

_DROP = 0.7
"""A level below this share of the last is a reset: a fall of more than 30 %."""
_GAP_INTERVALS = 30
_GAP_MIN_S = 60.0


class Event(StrEnum):
    """What a reading did to the series besides adding a point."""

    NONE = "none"
    RESET = "reset"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class SeriesState:
    history: HistoryState
    climbs: ClimbsState
    suspect: tuple[float, float] | None
    last_s: float | None
    interval_s: float
    started_s: float | None


class Series:
    """Readings of one metric of one component, bounded in memory.

    A single low reading is held back until the next: a scrape that failed half-way is no restart. Falls are told
    from restarts by the process's start time where it is known.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._relaxed = rules.relaxed()
        self._history = History(rules.points_min)
        self._climbs = Climbs()
        self._suspect: tuple[float, float] | None = None
        self._last_s: float | None = None
        self._interval_s = 0.0
        self._started_s: float | None = None

    @property
    def last_s(self) -> float | None:
        """Time of the newest reading, in seconds."""
        return self._last_s

    @property
    def current(self) -> float | None:
        """Median of the newest three readings."""
        newest = self._history.newest(3)
        return median(newest) if newest else None

    def add(self, at_s: float, value: float, limit: float, started_s: float | None) -> Event:
        """Take up a reading; `started_s` is when the component's process started, None when unknown.

        Readings that aren't finite or aren't newer than the last change nothing.
        """
        if not math.isfinite(value) or (self._last_s is not None and at_s <= self._last_s):
            return Event.NONE
        event = self._gap(at_s)
        if self._restarted(started_s):
            self._clear()
            self._climbs.forget()
            event = Event.RESET
        elif self._dropped(value):
            if self._suspect is None:
                self._suspect = (at_s, value)
                return event
            if started_s is None:
                self._fell(self._suspect, limit)
                event = Event.RESET
            self._take(*self._suspect, limit)
        self._suspect = None
        self._take(at_s, value, limit)
        return event

    def _gap(self, at_s: float) -> Event:
        event = Event.NONE
        if self._last_s is not None:
            interval_s = at_s - self._last_s
            if self._interval_s and interval_s > max(_GAP_MIN_S, _GAP_INTERVALS * self._interval_s):
                self._clear()
                event = Event.GAP
            else:
                self._interval_s += 0.2 * (interval_s - self._interval_s) if self._interval_s else interval_s
        self._last_s = at_s
        return event

    def _restarted(self, started_s: float | None) -> bool:
        before, self._started_s = self._started_s, started_s
        return before is not None and started_s is not None and started_s > before

    def _dropped(self, value: float) -> bool:
        level = self.current
        return level is not None and level > 0 and value < _DROP * level

    def _fell(self, low: tuple[float, float], limit: float) -> None:
        """A fall for no known reason: forget the readings, but remember how the climb ended."""
        self._climbs.add(*low, limit)
        self._history.clear()

    def _clear(self) -> None:
        self._history.clear()
        self._suspect = None

    def _take(self, at_s: float, value: float, limit: float) -> None:
        self._history.add(at_s, value)
        level = self.current
        if level is not None and len(self._history) >= 3:
            self._climbs.add(at_s, level, limit)

    def changed(self) -> None:
        """The component was repaired, deployed or reconfigured: how its climbs used to end says nothing now."""
        self._climbs.forget()

    def look(self, limit: float, horizon_s: float, *, is_open: bool) -> Forecast | None:
        """What may be said now; an open prediction is held to less than a new one."""
        current = self.current
        if current is None or self._last_s is None:
            return None
        rules = self._relaxed if is_open else self._rules
        return best_forecast(
            Past(self._history, self._climbs, 2 if self._started_s is None else 1),
            now_s=self._last_s,
            current=current,
            lag_s=self._interval_s,  # in a climb the median of three is the reading before the last
            limit=limit,
            horizon_s=horizon_s * (2 if is_open else 1),
            rules=rules,
        )

    def dump(self) -> SeriesState:
        return SeriesState(
            self._history.dump(), self._climbs.dump(), self._suspect, self._last_s, self._interval_s, self._started_s
        )

    def load(self, state: SeriesState) -> None:
        self._history.load(state.history)
        self._climbs.load(state.climbs)
        self._suspect, self._last_s = state.suspect, state.last_s
        self._interval_s, self._started_s = state.interval_s, state.started_s
