"""All knobs of the components of one partition: what is measured of them, and when something is recommended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.optimizer.domain.latency import Labels, Latency, Window, WindowState
from services.optimizer.domain.tuning import Dial, Rules, Tuning, tune

HISTOGRAMS = ("upstream_request_duration_seconds", "http_request_duration_seconds")
"""Where a component's latency is read, the first that has calls: calls it makes, which a timeout bounds, come first."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked and spoken, in seconds."""

    look_s: float = 10.0
    change_s: float = 120.0
    """Least time between two recommendations for one knob."""
    repeat_s: float = 3_600.0
    """A recommendation that still holds is said again after this long."""
    measure_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Watched:
    """One knob of a component. `gauges` are names under which the component may export the value in force."""

    pack: str
    name: str
    dial: Dial
    declared: float | None
    gauges: tuple[str, ...]
    guard: Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter of requests, of failed ones, or of both."""

    metric: str
    labels: Labels
    value: float
    request: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Readings:
    """What one batch holds for the optimizer. Buckets: (metric, other labels, upper bound, count)."""

    at_s: float
    buckets: Sequence[tuple[str, Labels, str, float]]
    gauges: Mapping[str, float]
    requests: Sequence[Counted]


@dataclass(frozen=True, slots=True)
class Recommended:
    component: str
    pack: str
    knob: str
    metric: str
    tuning: Tuning
    said_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Latency of the last window at one value of a knob: tells what an applied recommendation came to."""

    component: str
    pack: str
    knob: str
    current: float | None
    p50_s: float
    p99_s: float
    samples: int


@dataclass(frozen=True, slots=True)
class KnobState:
    current: float | None = None
    said: float | None = None
    said_s: float | None = None


@dataclass(frozen=True, slots=True)
class ComponentState:
    windows: list[tuple[str, WindowState]]
    knobs: list[tuple[str, KnobState]]
    looked_s: float | None
    measured_s: float | None


class Partition:
    """State of a partition. `watched` gives the knobs of a component as the packs say now."""

    def __init__(self, rules: Rules, pace: Pace, window_s: float, watched: Callable[[str], Sequence[Watched]]) -> None:
        self._rules = rules
        self._pace = pace
        self._window_s = window_s
        self._watched = watched
        self._components: dict[str, _Component] = {}

    def read(self, component: str, readings: Readings) -> list[Recommended | Measured]:
        """Takes up one batch, and looks at what it changes."""
        knobs = self._watched(component)
        if not knobs:
            self._components.pop(component, None)
            return []
        known = self._components.get(component)
        if known is None:
            known = self._components[component] = _Component(component, self._window_s)
        known.take(knobs, readings)
        return known.look(knobs, self._rules, self._pace, readings.at_s)

    def changed(self, component: str) -> None:
        """The component was changed: what was measured before says nothing about it now."""
        known = self._components.get(component)
        if known is not None:
            known.forget()

    def dump(self) -> dict[str, ComponentState]:
        return {name: component.dump() for name, component in self._components.items()}

    def load(self, state: Mapping[str, ComponentState]) -> None:
        self._components = {}
        for name, saved in state.items():
            component = self._components[name] = _Component(name, self._window_s)
            component.load(saved)


class _Component:
    def __init__(self, name: str, window_s: float) -> None:
        self._name = name
        self._windows = {metric: Window(window_s) for metric in HISTOGRAMS}
        self._knobs: dict[str, KnobState] = {}
        self._looked_s: float | None = None
        self._measured_s: float | None = None

    def take(self, knobs: Sequence[Watched], readings: Readings) -> None:
        for knob in knobs:
            self._set(knob.name, next((readings.gauges[name] for name in knob.gauges if name in readings.gauges), None))
        for metric, window in self._windows.items():
            if not window.begin(readings.at_s):
                continue
            for name, labels, bound, count in readings.buckets:
                if name == metric:
                    window.bucket(bound, window.increase(name, (*labels, ("le", bound)), count))
            for counted in readings.requests:
                gained = window.increase(counted.metric, counted.labels, counted.value)
                window.answered(requests=gained * counted.request, errors=gained * counted.failed)
            window.end(readings.at_s)

    def _set(self, knob: str, current: float | None) -> None:
        state = self._knobs.get(knob, KnobState())
        if current is not None and current != state.current:
            if state.current is not None:
                self.forget()
            state = replace(state, current=current)
        self._knobs[knob] = state

    def forget(self) -> None:
        for window in self._windows.values():
            window.clear()

    def look(self, knobs: Sequence[Watched], rules: Rules, pace: Pace, now_s: float) -> list[Recommended | Measured]:
        if self._looked_s is not None and now_s - self._looked_s < pace.look_s:
            return []
        self._looked_s = now_s
        metric, latency = self._latency()
        found: list[Recommended | Measured] = []
        for knob in knobs:
            said = self._recommend(knob, metric, latency, rules, pace, now_s)
            if said is not None:
                found.append(said)
        return found + self._measure(knobs, latency, rules, pace, now_s)

    def _latency(self) -> tuple[str, Latency]:
        measured = [(metric, window.latency()) for metric, window in self._windows.items()]
        return next((one for one in measured if one[1].samples), measured[0])

    def _recommend(
        self, knob: Watched, metric: str, latency: Latency, rules: Rules, pace: Pace, now_s: float
    ) -> Recommended | None:
        state = self._knobs[knob.name]
        tuning = tune(latency, knob.dial, state.current, knob.declared, rules, knob.guard)
        if not isinstance(tuning, Tuning):
            return None
        if state.said is not None and state.said_s is not None:
            same = abs(tuning.recommended - state.said) <= rules.change_min * state.said
            if now_s - state.said_s < (pace.repeat_s if same else pace.change_s):
                return None
        self._knobs[knob.name] = replace(state, said=tuning.recommended, said_s=now_s)
        return Recommended(self._name, knob.pack, knob.name, metric, tuning, now_s)

    def _measure(
        self, knobs: Sequence[Watched], latency: Latency, rules: Rules, pace: Pace, now_s: float
    ) -> list[Recommended | Measured]:
        if self._measured_s is not None and now_s - self._measured_s < pace.measure_s:
            return []
        if latency.samples < rules.samples_min or latency.span_s < rules.span_min_s:
            return []
        self._measured_s = now_s
        p50_s, p99_s = latency.quantile(0.5).value_s, latency.quantile(0.99).value_s
        return [
            Measured(self._name, knob.pack, knob.name, self._knobs[knob.name].current, p50_s, p99_s, latency.samples)
            for knob in knobs
        ]

    def dump(self) -> ComponentState:
        windows = [(metric, window.dump()) for metric, window in self._windows.items()]
        return ComponentState(windows, list(self._knobs.items()), self._looked_s, self._measured_s)

    def load(self, saved: ComponentState) -> None:
        for metric, window in saved.windows:
            if metric in self._windows:
                self._windows[metric].load(window)
        self._knobs = dict(saved.knobs)
        self._looked_s, self._measured_s = saved.looked_s, saved.measured_s
