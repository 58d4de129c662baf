"""All watched series of the components of one partition, and what one batch of readings does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.predictor.domain.forecast import Rules
from services.predictor.domain.series import Event, Series, SeriesState
from services.predictor.domain.traffic import Labels, Quiet, TrafficMeter, TrafficState
from services.predictor.domain.watch import Pace, Reason, Said, WatchState, gone, step
from shared.packs.model import Limit, Traffic

PROCESS_START = "process_start_time_seconds"
"""The Prometheus clients' gauge that tells a restart from a fall."""
_SERIES_MAX = 64
"""Label sets watched per component and metric; further ones are not looked at."""

type Key = tuple[str, Labels]


@dataclass(frozen=True, slots=True)
class Watched:
    """What a pack says of one component: its limits by metric, and its traffic."""

    limits: Mapping[str, Limit] = field(default_factory=dict)
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample; `at_s` is the source's time in seconds since the epoch."""

    metric: str
    labels: Labels
    value: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Revision:
    """Something to publish about one series, with the traffic it was judged by."""

    component: str
    metric: str
    labels: Labels
    limit: Limit | None
    said: Said
    traffic_per_s: float | None


@dataclass(frozen=True, slots=True)
class ComponentState:
    started_s: float | None
    meter: tuple[float, float, TrafficState] | None
    """Window, quantile and state of the traffic meter."""
    series: list[tuple[Key, SeriesState, WatchState]]


class Partition:
    """State of a partition. `watched` tells what packs say of a component now."""

    def __init__(self, rules: Rules, pace: Pace, watched: Callable[[str], Watched]) -> None:
        self._rules = rules
        self._pace = pace
        self._watched = watched
        self._components: dict[str, _Component] = {}

    def readings(self, component: str, readings: Sequence[Reading], now_s: float) -> list[Revision]:
        """Take up one batch; `now_s` is the server's time of its message."""
        watched = self._watched(component)
        known = self._components.get(component)
        if not watched.limits:
            return self._drop(component)
        if known is None:
            known = self._components[component] = _Component(component, self._rules, self._pace)
        return [*known.unwatch(watched), *known.take(watched, readings, now_s)]

    def changed(self, component: str) -> None:
        """The component was repaired, deployed, scaled or reconfigured."""
        known = self._components.get(component)
        if known is not None:
            known.changed()

    def _drop(self, component: str) -> list[Revision]:
        known = self._components.pop(component, None)
        return known.unwatch(Watched()) if known is not None else []

    def dump(self) -> dict[str, ComponentState]:
        return {name: component.dump() for name, component in self._components.items()}

    def load(self, state: Mapping[str, ComponentState]) -> None:
        self._components = {}
        for name, saved in state.items():
            component = self._components[name] = _Component(name, self._rules, self._pace)
            component.load(saved)


class _Component:
    def __init__(self, name: str, rules: Rules, pace: Pace) -> None:
        self._name = name
        self._rules = rules
        self._pace = pace
        self._started_s: float | None = None
        self._meter: TrafficMeter | None = None
        self._series: dict[Key, tuple[Series, WatchState]] = {}

    def take(self, watched: Watched, readings: Sequence[Reading], now_s: float) -> list[Revision]:
        for reading in readings:
            if reading.metric == PROCESS_START:
                self._started_s = reading.value
        self._measure(watched.traffic, readings)
        revisions = []
        for reading in sorted(readings, key=lambda one: one.at_s):
            limit = watched.limits.get(reading.metric)
            if limit is not None:
                revisions += self._advance(reading, limit, watched, now_s)
        return revisions

    def unwatch(self, watched: Watched) -> list[Revision]:
        """Forget series whose limit was taken out of the pack."""
        revisions = []
        for metric, labels in [key for key in self._series if key[0] not in watched.limits]:
            _, state = self._series.pop((metric, labels))
            if state.current is not None:
                said = gone(state.current, Reason.UNWATCHED)
                revisions.append(Revision(self._name, metric, labels, None, said, None))
        return revisions

    def changed(self) -> None:
        for series, _ in self._series.values():
            series.changed()

    def _measure(self, traffic: Traffic | None, readings: Iterable[Reading]) -> None:
        if traffic is None:
            self._meter = None
            return
        settings = (traffic.window_s, traffic.quiet_quantile)
        if self._meter is None or (self._meter.window_s, self._meter.quiet_quantile) != settings:
            self._meter = TrafficMeter(*settings)
        by_time: dict[float, dict[Labels, float]] = {}
        for reading in readings:
            if reading.metric == traffic.metric:
                by_time.setdefault(reading.at_s, {})[reading.labels] = reading.value
        for at_s in sorted(by_time):
            self._meter.read(at_s, by_time[at_s])

    def _advance(self, reading: Reading, limit: Limit, watched: Watched, now_s: float) -> list[Revision]:
        key = (reading.metric, reading.labels)
        if key not in self._series:
            if sum(metric == reading.metric for metric, _ in self._series) >= _SERIES_MAX:
                return []
            self._series[key] = (Series(self._rules), WatchState())
        series, state = self._series[key]
        before_s = series.last_s
        event = series.add(reading.at_s, reading.value, limit.value, self._started_s)
        if event is Event.NONE and series.last_s == before_s:
            return []
        found = series.look(limit.value, limit.horizon_s, is_open=state.current is not None)
        state, said = step(state, self._pace, now_s, event, found, self._quiet(watched, reading.at_s))
        self._series[key] = (series, state)
        if said is None:
            return []
        rate = self._meter.rate(reading.at_s) if self._meter is not None else None
        return [Revision(self._name, reading.metric, reading.labels, limit, said, rate)]

    def _quiet(self, watched: Watched, at_s: float) -> Quiet:
        if watched.traffic is None or self._meter is None:
            return Quiet.YES
        return self._meter.quiet(at_s)

    def dump(self) -> ComponentState:
        meter = self._meter
        return ComponentState(
            self._started_s,
            (meter.window_s, meter.quiet_quantile, meter.dump()) if meter is not None else None,
            [(key, series.dump(), state) for key, (series, state) in self._series.items()],
        )

    def load(self, saved: ComponentState) -> None:
        self._started_s = saved.started_s
        if saved.meter is not None:
            window_s, quantile, meter = saved.meter
            self._meter = TrafficMeter(window_s, quantile)
            self._meter.load(meter)
        for key, series_state, watch in saved.series:
            series = Series(self._rules)
            series.load(series_state)
            self._series[key] = (series, watch)
