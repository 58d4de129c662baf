"""One series of one component: its usual range, its limits, and the counters it feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from services.detector.domain.adaptive import NEWS, WARM_UP, UsualRange
from services.detector.domain.ratios import RatioLimit
from services.detector.domain.thresholds import Breach, Limit

COUNTER_SUFFIXES = ("_total", "_count", "_sum")
UNLEARNED_SUFFIXES = ("_bucket", "_created", "_info")
"""Series whose single readings tell nothing: histogram buckets are covered by their count and sum."""


AWAY_S, AWAY_PAUSES = 600.0, 20.0
"""A series was away when it paused for longer than both: so many seconds, and so many of its usual pauses."""
WEEK_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """How many alarms a week chance alone may raise on each series of a metric (`*`: of every metric)."""

    metric: str
    per_week: float


class Shape(StrEnum):
    """How readings are learned. By the naming rules of OpenMetrics."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UNLEARNED = "unlearned"


def shape_of(name: str) -> Shape:
    if name.endswith(UNLEARNED_SUFFIXES):
        return Shape.UNLEARNED
    return Shape.COUNTER if name.endswith(COUNTER_SUFFIXES) else Shape.GAUGE


def series_key(name: str, labels: Mapping[str, str]) -> str:
    """`name{a="1",b="2"}`: the same whatever the order of the labels.

    >>> series_key("up", {}), series_key("up", {"b": "2", "a": "1"})
    ('up', 'up{a="1",b="2"}')
    """
    if not labels:
        return name
    return name + "{" + ",".join(f'{label}="{labels[label]}"' for label in sorted(labels)) + "}"


class Hook(Protocol):
    """Takes each reading of a series in order of time; `grown`: by how much a counter went up."""

    def take(self, value: float, grown: float, when: float) -> None: ...


@dataclass(slots=True)
class Series:
    """State of one series. What the packs ask of it (`limits`, `ratios`) is set by `ask` and isn't state."""

    name: str
    labels: dict[str, str]
    usual: UsualRange = field(default_factory=UsualRange)
    last: float | None = None
    last_at: float = 0.0
    seen_now: float = 0.0
    first_now: float = 0.0
    pace_s: float = 0.0
    """Longest pause between two readings that is usual for it."""
    breaches: dict[str, Breach] = field(default_factory=dict)


@dataclass(slots=True)
class Tracked:
    """A series with everything that is worked out once and used for each reading."""

    series: Series
    name: str
    labels: dict[str, str]
    key: str
    shape: Shape
    usual: UsualRange
    limits: tuple[tuple[Limit, Breach], ...] = ()
    errors_of: tuple[RatioLimit, ...] = ()
    totals_of: tuple[RatioLimit, ...] = ()
    alarms_per_week: float | None = None
    """By chance, if somebody asks for a rate."""
    hook: Hook | None = None
    """What more the packs ask of it: objectives, expressions, siblings, and that it keeps coming."""
    plain: bool = True
    """A gauge nobody asks anything of: only its range is learned."""

    @classmethod
    def of(cls, series: Series) -> Tracked:
        key = series_key(series.name, series.labels)
        return cls(series, series.name, series.labels, key, shape_of(series.name), series.usual)

    def ask(
        self,
        limits: Sequence[Limit],
        ratios: Sequence[RatioLimit],
        rates: Sequence[AlarmRate] = (),
        hook: Hook | None = None,
    ) -> None:
        """Take up what the packs ask now; a breach that is still asked about goes on."""
        self.alarms_per_week = next((rate.per_week for rate in rates if rate.metric in ("*", self.name)), None)
        if self.alarms_per_week is None:
            self.usual.limit = NEWS
        else:
            self.limit_alarms()
        asked = [limit for limit in limits if limit.holds_for(self.name, self.labels)]
        old = self.series.breaches
        self.series.breaches = {limit.key: old.get(limit.key, Breach()) for limit in asked}
        self.limits = tuple((limit, self.series.breaches[limit.key]) for limit in asked)
        self.errors_of = tuple(ratio for ratio in ratios if ratio.counts_errors(self.name, self.labels))
        self.totals_of = tuple(ratio for ratio in ratios if ratio.counts_total(self.name))
        self.hook = hook
        self.plain = self.shape is Shape.GAUGE and not (self.limits or self.errors_of or self.totals_of or hook)

    def limit_alarms(self) -> None:
        """Set the limit that gives the rate of alarms asked for, as far as the series' own past tells."""
        series, count = self.series, self.usual.count
        if self.alarms_per_week is None or count < WARM_UP or series.seen_now <= series.first_now:
            return
        interval_s = (series.seen_now - series.first_now) / count
        self.usual.limit = self.usual.limit_for(self.alarms_per_week * interval_s / WEEK_S)

    def was_away(self, pause_s: float) -> bool:
        """For a pause longer than any before: was the series away, or is its pace slower than it seemed?"""
        series = self.series
        if not series.pace_s or pause_s <= max(AWAY_S, AWAY_PAUSES * series.pace_s):
            series.pace_s = pause_s
            return False
        series.pace_s *= 2.0
        return True
