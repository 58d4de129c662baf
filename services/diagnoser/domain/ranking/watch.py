"""All series of the components of one partition: readings in, what deviates out. Reads no clock: replays are the same.

Looking at a component's series takes milliseconds, so a reading is first held against its series' median and MAD of a
while ago; only one far off makes the component worth a look, and then every LOOK_S until it is calm again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from services.diagnoser.domain.ranking.kinds import Kind, kind_of
from services.diagnoser.domain.ranking.look import look_at
from services.diagnoser.domain.ranking.memory import MemoryState, SeriesMemory
from services.diagnoser.domain.ranking.rank import Seen
from services.diagnoser.domain.ranking.shift import BASE_LEAST, RELATIVE_NOISE

SERIES_MOST = 64
"""Series remembered of one component; further ones are left out."""
COUNTERS_MOST = 512
"""Label sets of its counters."""
COMPONENTS_MOST = 256
"""Components of one partition: 32 times as many altogether."""
FAR = 4.0
"""Noises from the median at which a reading makes its component worth a look."""
RELEARN = 64
"""Readings after which a series' median and noise are worked out anew."""
LOOK_S = 2.0
CALM_S = 60.0
"""Without a deviation for so long, a trouble is over, and the next one begins anew."""
LONGEST_S = 900.0
"""After this a new level is the usual one."""
TELL_S = 300.0
"""A component without trouble tells its usual levels this often."""
KEPT = 32
"""Readings of each series that a snapshot keeps."""
COUNTER_SUFFIXES = ("_total", "_count", "_sum")
LEFT_OUT = ("_bucket", "_created", "_info", "start_time_seconds")
"""Covered by the count and sum of their histogram, or telling nothing of how the component does."""
_STATUS = ("status", "code", "status_code", "http_status_code")

type Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample; `at_s` is the source's time in seconds since the epoch."""

    metric: str
    labels: Labels
    value: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a component's series say; `noticed_s`: since when they were worth a look, None when all is as usual."""

    at_s: float
    noticed_s: float | None
    seen: Seen


@dataclass(slots=True)
class _Series:
    memory: SeriesMemory
    level: float = 0.0
    reach: float = float("inf")
    """Distance from the level that is far."""
    learned: int = 0


@dataclass(frozen=True, slots=True)
class ComponentState:
    """A component as it is kept in a snapshot. Counters begin anew: one reading is lost."""

    series: Mapping[str, MemoryState]
    noticed_s: float | None
    deviated_s: float


@dataclass(slots=True)
class _Component:
    series: dict[str, _Series] = field(default_factory=dict)
    counters: dict[tuple[str, Labels], float] = field(default_factory=dict)
    counted_s: dict[str, float] = field(default_factory=dict)
    noticed_s: float | None = None
    deviated_s: float = float("-inf")
    looked_s: float = float("-inf")
    told_s: float = float("-inf")


class Watch:
    """The state of one partition."""

    def __init__(self) -> None:
        self._components: dict[str, _Component] = {}

    def readings(self, component: str, readings: Iterable[Reading]) -> Told | None:
        """Take up one batch; what is to be told of the component, if anything is."""
        known = self._components.get(component)
        if known is None:
            if len(self._components) >= COMPONENTS_MOST:
                return None
            known = self._components[component] = _Component()
        newest_s, far = float("-inf"), False
        for metric, value, at_s in _series_of(known, readings):
            far |= _add(known, metric, value, at_s)
            newest_s = max(newest_s, at_s)
        return _look(component, known, newest_s, far) if newest_s > known.looked_s else None

    def dump(self) -> dict[str, ComponentState]:
        return {
            name: ComponentState(
                {metric: series.memory.dump(KEPT) for metric, series in known.series.items()},
                known.noticed_s,
                known.deviated_s,
            )
            for name, known in self._components.items()
        }

    def load(self, state: Mapping[str, ComponentState]) -> None:
        self._components = {}
        for name, saved in state.items():
            series = {metric: _Series(SeriesMemory.loaded(one)) for metric, one in saved.series.items()}
            for one in series.values():
                _learn(one)
            self._components[name] = _Component(series, noticed_s=saved.noticed_s, deviated_s=saved.deviated_s)


# ---- a component


def _add(known: _Component, metric: str, value: float, at_s: float) -> bool:
    """Remembers a reading; whether it is far from what is usual."""
    series = known.series.get(metric)
    if series is None:
        if len(known.series) >= SERIES_MOST:
            return False
        series = known.series[metric] = _Series(SeriesMemory())
    if not series.memory.add(at_s, value):
        return False
    far = abs(value - series.level) > series.reach
    series.learned -= 1
    if series.learned <= 0:
        _learn(series)
    return far


def _learn(series: _Series) -> None:
    _, values = series.memory.readings()
    if len(values) < BASE_LEAST:
        series.learned = BASE_LEAST - len(values)
        return
    level = float(np.median(values))
    noise = max(1.4826 * float(np.median(np.abs(values - level))), RELATIVE_NOISE * abs(level), 1e-9)
    series.level, series.reach, series.learned = level, FAR * noise, RELEARN


def _look(name: str, known: _Component, now_s: float, far: bool) -> Told | None:
    if far and known.noticed_s is None:
        known.noticed_s = now_s
    if known.noticed_s is None:
        return _usual(name, known, now_s) if now_s - known.told_s >= TELL_S else None
    if now_s - known.looked_s < LOOK_S:
        return None
    known.looked_s = now_s
    seen = look_at(name, {metric: one.memory for metric, one in known.series.items()}, known.noticed_s)
    was_deviating = known.deviated_s >= known.noticed_s
    if any(now_s - one.until_s <= CALM_S for one in seen.deviations):
        known.deviated_s = now_s
    noticed_s = known.noticed_s
    if now_s - max(noticed_s, known.deviated_s) > CALM_S or now_s - noticed_s > LONGEST_S:
        known.noticed_s = None
    if not seen.deviations and not was_deviating:
        return None
    known.told_s = now_s
    return Told(now_s, noticed_s, seen)


def _usual(name: str, known: _Component, now_s: float) -> Told:
    """Levels and kinds alone, cheap."""
    known.told_s = now_s
    kinds = {metric: kind_of(metric) for metric in known.series}
    levels = {metric: known.series[metric].level for metric, kind in kinds.items() if kind is Kind.MEMORY}
    return Told(now_s, None, Seen(name, (), levels, frozenset(kinds.values())))


# ---- from samples to series


def _series_of(known: _Component, readings: Iterable[Reading]) -> Iterable[tuple[str, float, float]]:
    """Gauges as they are; counters as rates, summed over their labels; histograms as means; failed calls as shares."""
    grown: dict[str, float] = {}
    failed: dict[str, float] = {}
    at: dict[str, float] = {}
    for one in readings:
        if not isfinite(one.value) or one.metric.endswith(LEFT_OUT):
            continue
        if not one.metric.endswith(COUNTER_SUFFIXES):
            yield _named(one.metric, one.labels), one.value, one.at_s
            continue
        growth = _growth(known, one)
        grown[one.metric] = grown.get(one.metric, 0.0) + growth
        at[one.metric] = max(at.get(one.metric, 0.0), one.at_s)
        if any(name in _STATUS and value.startswith("5") for name, value in one.labels):
            failed[one.metric] = failed.get(one.metric, 0.0) + growth
    for metric, growth in grown.items():
        before_s = known.counted_s.get(metric)
        known.counted_s[metric] = at[metric]
        if before_s is None or at[metric] <= before_s:
            continue
        if metric.endswith("_sum"):
            calls = grown.get(metric.removesuffix("_sum") + "_count", 0.0)
            if calls > 0:
                yield metric.removesuffix("_sum") + "_mean", growth / calls, at[metric]
            continue
        yield metric, growth / (at[metric] - before_s), at[metric]
        if growth > 0 and kind_of(metric) is Kind.LOAD:
            yield metric + "_error_ratio", failed.get(metric, 0.0) / growth, at[metric]


def _named(metric: str, labels: Labels) -> str:
    return metric + "".join(f",{name}={value}" for name, value in labels) if labels else metric


def _growth(known: _Component, one: Reading) -> float:
    """Since the last reading of the same labels; a counter that fell began anew."""
    key = (one.metric, one.labels)
    before = known.counters.get(key)
    if before is None and len(known.counters) >= COUNTERS_MOST:
        return 0.0
    known.counters[key] = one.value
    if before is None:
        return 0.0
    return one.value - before if one.value >= before else one.value
