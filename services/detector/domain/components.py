"""Everything remembered of one component, and the rules by which readings, lines and checks change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.detector.domain import adaptive, log_patterns, ratios, thresholds
from services.detector.domain.asks import Asks, AsksState, Told
from services.detector.domain.checks import ProbeRun
from services.detector.domain.joint import LEAST_SERIES, Joint
from services.detector.domain.joint import NEWS as JOINT_NEWS
from services.detector.domain.log_patterns import Frequency
from services.detector.domain.ratios import RatioLimit, RatioWindow
from services.detector.domain.series import COUNTER_SUFFIXES, Series, Shape, Tracked, series_key
from services.detector.domain.signals import (
    AnomalyFound,
    Fact,
    Finding,
    HealthStatus,
    Line,
    Method,
    Reading,
    fingerprint,
)
from services.detector.domain.templates import BookState, LogBook, Noted
from services.detector.domain.watch import Watched
from services.detector.domain.windows import SlidingSum

MAX_SERIES = 20_000
"""Series learned per component; further ones are counted and left out."""
MAX_LAYOUTS = 64
MAX_JOINTS = 16
JOINT_METRIC = "several_series"
"""Name under which series that are unusual together are told."""
MOST_NAMED = 5
MOST_UNUSUAL, MOST_CERTAIN = 6, 30
"""Anomalies told per component and minute: any, and those rarer than CERTAIN."""
CERTAIN = 6.0
SENSELESS = 1e100
"""Readings this large are nobody's measurement, and their squares would overflow."""
RECENT_S = 60.0
"""How far back something seen is still evidence for an incident that opens now."""
MAX_RECENT = 32
BIRTH_WINDOW_S = 120.0
"""A counter that appears this soon after others of its name began at zero."""


@dataclass(slots=True)
class Health:
    status: HealthStatus | None = None
    since: float = 0.0
    error_count: int = 0
    open_incidents: tuple[str, ...] = ()
    budgets: dict[str, float] = field(default_factory=dict)
    told_now: float = 0.0
    """The last told values, and when they were told."""


@dataclass(slots=True)
class ComponentState:
    """What is remembered, and nothing else: this is what a snapshot holds."""

    name: str
    errors: int = 0
    """Failed checks and error log lines ever seen."""
    repair_until: float = 0.0
    left_out: int = 0
    """Series and anomalies beyond what one component may have."""
    news: list[float] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    probes: dict[str, ProbeRun] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    families: dict[str, float] = field(default_factory=dict)
    """Name of a counter → when any series of it was last read."""
    windows: dict[str, list[list[float]]] = field(default_factory=dict)
    logs: dict[str, tuple[list[float], int, float, str]] = field(default_factory=dict)
    recent: list[Fact] = field(default_factory=list)
    asks: AsksState = field(default_factory=AsksState)
    book: BookState = field(default_factory=BookState)
    joints: dict[str, Joint] = field(default_factory=dict)
    """Of batches, by the name of their first series."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a batch of readings says: bad observations, fingerprints seen good or not yet bad, unusual series."""

    bad: list[Finding] = field(default_factory=list)
    good: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    unusual: list[AnomalyFound] = field(default_factory=list)

    def take(self, told: Told) -> None:
        self.bad.extend(told.bad)
        self.good.extend(told.good)
        self.doubtful.extend(told.doubtful)


class ComponentTrack:
    """One component at work. `state()` and the constructor are inverse to each other."""

    def __init__(self, state: ComponentState, watched: Watched) -> None:
        self.name = state.name
        self.kept = state
        self.watched = watched
        self._series = {series_key(each.name, each.labels): Tracked.of(each) for each in state.series}
        self._windows = {key: RatioWindow.restored(saved) for key, saved in state.windows.items()}
        self.logs = {
            kind: Frequency(SlidingSum.restored(window), total, last_at, example)
            for kind, (window, total, last_at, example) in state.logs.items()
        }
        self._news = SlidingSum.restored(state.news) if state.news else SlidingSum(60.0)
        self.book = LogBook(state.book)
        self._layouts: dict[tuple[int, str], list[Tracked | None]] = {}
        self.asks = Asks(state.name, state.asks)
        self.watch(watched)

    def state(self) -> ComponentState:
        kept = self.kept
        kept.series = [tracked.series for tracked in self._series.values()]
        kept.news = self._news.state()
        kept.asks = self.asks.state()
        kept.book = self.book.state()
        kept.windows = {key: window.state() for key, window in self._windows.items()}
        kept.logs = {
            kind: (each.window.state(), each.total, each.last_at, each.example) for kind, each in self.logs.items()
        }
        return kept

    def watch(self, watched: Watched) -> None:
        """Take up another set of rules without forgetting what was learned."""
        self.watched = watched
        asked = {ratio.key: ratio for ratio in watched.ratios}
        self._windows = {key: self._windows.get(key) or RatioWindow(ratio.window_s) for key, ratio in asked.items()}
        self.asks.watch(watched.asked)
        for tracked in self._series.values():
            tracked.ask(watched.limits, watched.ratios, watched.alarm_rates, self.asks.hook(tracked))

    # ---- metrics

    def usual(self) -> Mapping[str, adaptive.UsualRange]:
        """What each series usually does, by its key."""
        return {key: tracked.usual for key, tracked in self._series.items()}

    def read(self, readings: Sequence[Reading], at: float, now: float) -> Verdicts:
        """Learn a batch. The hot path: a plain gauge costs a look-up by position and one update."""
        verdicts = Verdicts()
        if not readings:
            return verdicts
        touched: dict[str, RatioLimit] = {}
        stirred, judged = 0.0, 0
        latest = min(at, now)  # nothing is read in the future: a sender's clock may be ahead
        for reading, tracked in zip(readings, self._lay_out(readings, now), strict=True):
            value = reading.value
            if tracked is None or not -SENSELESS < value < SENSELESS:
                continue
            series, sent_at = tracked.series, reading.at
            if sent_at is None:
                when = latest
            else:
                when = min(sent_at.timestamp(), now)
                if when <= series.last_at:
                    continue  # told before, by another sender or by this one again
            pause_s = now - series.seen_now
            series.seen_now = now
            if tracked.plain:
                series.last_at = when
            else:
                learned = self._ask(tracked, value, when, now, verdicts, touched)
                if learned is None:
                    continue
                value = learned
            usual = tracked.usual
            if pause_s > series.pace_s and tracked.was_away(pause_s):
                if tracked.shape is Shape.COUNTER:
                    continue  # a rate over the absence is no reading of now
                usual.resume(value)
            score = usual.update(value, when)
            if usual.count > adaptive.WARM_UP:
                stirred += usual.rarity
                judged += 1
            if score >= adaptive.STIR:
                if score >= usual.limit:
                    self._unusual(tracked, value, score, when, now, verdicts)
                tracked.limit_alarms()
        if judged >= LEAST_SERIES:
            self._together(readings, stirred / judged, latest, now, verdicts)
        for name in {reading.name for reading in readings if reading.name.endswith(COUNTER_SUFFIXES)}:
            self.kept.families[name] = now
        for limit in touched.values():
            self._judge(limit, at, now, verdicts)
        verdicts.take(self.asks.judge(latest, now))
        return verdicts

    def _lay_out(self, readings: Sequence[Reading], now: float) -> list[Tracked | None]:
        """The series of each reading. Senders repeat themselves, so last time's order is tried first."""
        first = (len(readings), readings[0].name)
        layout = self._layouts.get(first)
        if layout is not None:
            for reading, known in zip(readings, layout, strict=True):
                if known is None or known.name != reading.name or known.labels != reading.labels:
                    break
            else:
                return layout
        layout = [self._find(reading, now) for reading in readings]
        if len(self._layouts) >= MAX_LAYOUTS:
            self._layouts.clear()
        self._layouts[first] = layout
        return layout

    def _find(self, reading: Reading, now: float) -> Tracked | None:
        key = series_key(reading.name, reading.labels)
        tracked = self._series.get(key)
        if tracked is None:
            if len(self._series) >= MAX_SERIES:
                self.kept.left_out += 1
                return None
            tracked = Tracked.of(Series(reading.name, dict(reading.labels), seen_now=now, first_now=now))
            watched = self.watched
            tracked.ask(watched.limits, watched.ratios, watched.alarm_rates, self.asks.hook(tracked))
            self._series[key] = tracked
        return tracked

    def _ask(
        self,
        tracked: Tracked,
        value: float,
        when: float,
        now: float,
        verdicts: Verdicts,
        touched: dict[str, RatioLimit],
    ) -> float | None:
        """Limits and counters. Gives what the usual range should learn: the value, a rate per second, or nothing."""
        series, shape = tracked.series, tracked.shape
        previous, previous_at = series.last, series.last_at
        if previous is not None and when < previous_at:
            return None  # late: the order of readings is what rates and `for_s` are made of
        series.last, series.last_at = value, when
        grown = 0.0
        if shape is Shape.COUNTER or tracked.errors_of or tracked.totals_of or tracked.hook:
            born = previous is None and now - self.kept.families.get(tracked.name, -BIRTH_WINDOW_S) < BIRTH_WINDOW_S
            grown = ratios.increase(previous, value, born=born)
            self._count(tracked, grown, when, touched)
        if tracked.hook is not None:
            tracked.hook.take(value, grown, when)
        elapsed_s = when - previous_at
        rate = grown / elapsed_s if previous is not None and elapsed_s > 0 else None
        for limit, breach in tracked.limits:
            measured = rate if limit.rate else value
            if measured is not None:
                self._limit(tracked, limit, breach, measured, when, verdicts)
        if shape is Shape.COUNTER:
            return rate
        return value if shape is Shape.GAUGE else None

    def _count(self, tracked: Tracked, grown: float, when: float, touched: dict[str, RatioLimit]) -> None:
        for limit in tracked.errors_of:
            self._windows[limit.key].errors.add(when, grown)
            touched[limit.key] = limit
        for limit in tracked.totals_of:
            self._windows[limit.key].total.add(when, grown)
            touched[limit.key] = limit

    def _limit(
        self,
        tracked: Tracked,
        limit: thresholds.Limit,
        breach: thresholds.Breach,
        value: float,
        when: float,
        verdicts: Verdicts,
    ) -> None:
        broken = thresholds.observe(breach, limit, value, when)
        if broken:
            since = breach.since
            verdicts.bad.append(thresholds.finding(self.name, limit, tracked.key, tracked.labels, value, when, since))
            return
        same = fingerprint(self.name, Method.THRESHOLD, thresholds.subject(limit, tracked.key))
        (verdicts.doubtful if broken is None else verdicts.good).append(same)

    def _judge(self, limit: RatioLimit, at: float, now: float, verdicts: Verdicts) -> None:
        at = min(at, now)
        above, errors, total = self._windows[limit.key].verdict(limit, at)
        if above:
            verdicts.bad.append(ratios.finding(self.name, limit, errors, total, at))
        elif above is False:
            verdicts.good.append(fingerprint(self.name, Method.THRESHOLD, limit.key))

    def _unusual(
        self, tracked: Tracked, value: float, score: float, when: float, now: float, verdicts: Verdicts
    ) -> None:
        """By chance alone a thousandth of all readings is news, so a component may tell little of it; what chance
        doesn't explain is told beyond that, up to a limit of its own."""
        if self._news.total(now) >= (MOST_CERTAIN if score >= CERTAIN else MOST_UNUSUAL):
            self.kept.left_out += 1
            return
        self._news.add(now, 1.0)
        usual, sigmas = tracked.usual, adaptive.deviations(score)
        verdicts.unusual.append(
            AnomalyFound(
                self.name,
                tracked.name,
                tracked.labels,
                value,
                usual.low,
                usual.high,
                sigmas,
                when,
                when,
                seen_before=usual.news - 1,
            )
        )

    def _together(
        self, readings: Sequence[Reading], mean_rarity: float, when: float, now: float, verdicts: Verdicts
    ) -> None:
        """Series of one batch that are unusual together, whether or not one of them is so alone."""
        joint = self.kept.joints.get(readings[0].name)
        if joint is None:
            if len(self.kept.joints) >= MAX_JOINTS:
                return
            joint = self.kept.joints[readings[0].name] = Joint()
        usual = joint.quantile
        rarity = joint.update(mean_rarity)
        if rarity < JOINT_NEWS or self._news.total(now) >= MOST_CERTAIN:
            return
        self._news.add(now, 1.0)
        keys = {series_key(each.name, each.labels) for each in readings} & self._series.keys()
        most = sorted(map(self._series.__getitem__, keys), key=lambda each: (-each.usual.rarity, each.key))[:MOST_NAMED]
        verdicts.unusual.append(
            AnomalyFound(
                self.name,
                JOINT_METRIC,
                {"series": ",".join(dict.fromkeys(each.name for each in most))},
                mean_rarity,
                0.0,
                usual,
                adaptive.deviations(rarity),
                when,
                when,
                seen_before=joint.news - 1,
            )
        )

    # ---- logs

    def log(self, lines: Sequence[Line], at: float, now: float) -> tuple[list[Finding], list[Fact]]:
        """Count error lines by kind, learn all: (bursts, other evidence)."""
        seen: dict[str, log_patterns.Kind] = {}
        bursts: set[str] = set()
        noted: list[Noted] = []
        for line in lines:
            kind = log_patterns.classify(self.watched.kinds, line.message)
            when = at if line.at is None else min(line.at.timestamp(), now)
            error = kind is not None or log_patterns.is_error(line.level)
            self.kept.errors += error
            noted.append(Noted(line.message, line.level, error, when, kind.category if kind else None))
            if kind is None:
                continue
            frequency = self.logs.get(kind.id)
            if frequency is None:
                frequency = self.logs[kind.id] = Frequency(SlidingSum(kind.window_s))
            seen[kind.id] = kind
            if frequency.count(kind, line.message, when, now):
                bursts.add(kind.id)
        found = [
            log_patterns.finding(self.name, kind, self.logs[id_], now) for id_, kind in seen.items() if id_ in bursts
        ]
        facts = [
            log_patterns.fact(self.name, kind, self.logs[id_], now) for id_, kind in seen.items() if id_ not in bursts
        ]
        return found, [*facts, *self.book.read(self.name, noted, now)]

    # ---- what is remembered for incidents to come

    def remember(self, facts: Sequence[Fact]) -> None:
        self.kept.recent = [*self.kept.recent, *facts][-MAX_RECENT:]

    def context(self, at: float) -> tuple[Fact, ...]:
        """Facts seen shortly before `at`, newest first."""
        return tuple(fact for fact in reversed(self.kept.recent) if fact.at >= at - RECENT_S)

    def forget(self, now: float, idle_s: float) -> None:
        """Drop series not read for `idle_s`."""
        gone = [key for key, tracked in self._series.items() if now - tracked.series.seen_now > idle_s]
        for key in gone:
            del self._series[key]
        if gone:
            self._layouts.clear()
        self.asks.forget(gone, now, idle_s)
