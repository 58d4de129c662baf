"""What packs ask of one component beyond limits and ratios: objectives, expressions, siblings, and that data comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.detector.domain import absence, expressions, outliers, slo
from services.detector.domain.absence import Expectation, Regular
from services.detector.domain.expressions import Expression
from services.detector.domain.outliers import Member
from services.detector.domain.samples import STALE_S, Samples
from services.detector.domain.series import COUNTER_SUFFIXES, Tracked
from services.detector.domain.signals import Finding, Method, fingerprint
from services.detector.domain.slo import Budget, Objective
from shared.packs.promql import Selector

JUDGE_S = 0.9
"""Shortest time between two evaluations of the same expressions."""
MAX_SAMPLES = 5_000
"""Series over ranges that a component's expressions may hold; more are counted and left out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the packs ask of one component."""

    objectives: tuple[Objective, ...] = ()
    expressions: tuple[Expression, ...] = ()
    expects: tuple[Expectation, ...] = ()
    needed: frozenset[str] = frozenset()
    """Metrics that rules, ratios and objectives can't do without."""
    watched: bool = False
    """It stands in a pack: that its data stops is news."""


@dataclass(slots=True)
class AsksState:
    """What a snapshot holds of it."""

    samples: dict[str, list[list[float]]] = field(default_factory=dict)
    breaches: dict[str, dict[str, tuple[float, bool]]] = field(default_factory=dict)
    """By expression: subject → since when it is trouble, and whether it was told."""
    budgets: dict[str, list[list[float]]] = field(default_factory=dict)
    families: dict[str, dict[str, Member]] = field(default_factory=dict)
    counted: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Counters among the families: (when, value) of the last reading."""
    regulars: dict[str, Regular] = field(default_factory=dict)
    clearing: list[str] = field(default_factory=list)
    """Fingerprints seen to be good again, whose incidents are still open: said until they are closed."""
    judged: float = 0.0
    looked: float = 0.0
    left_out: int = 0


@dataclass(slots=True)
class Told:
    """Bad observations, and what was seen to be good (or not yet bad)."""

    bad: list[Finding] = field(default_factory=list)
    good: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    """Of `good`, those that are said but once."""


class _Hook:
    """Everything that one series feeds."""

    __slots__ = ("_asks", "_budgets", "_keys", "_member", "_samples")

    def __init__(
        self,
        asks: Asks,
        samples: tuple[Samples, ...],
        budgets: tuple[tuple[Objective, Budget, str], ...],
        member: tuple[str, str] | None,
        keys: tuple[str, ...],
    ) -> None:
        self._asks, self._samples, self._budgets, self._member, self._keys = asks, samples, budgets, member, keys

    def take(self, value: float, grown: float, when: float) -> None:
        for samples in self._samples:
            samples.add(when, value)
        for objective, budget, part in self._budgets:
            budget.count(part, value, grown, objective)
        if self._member is not None:
            self._asks.level(*self._member, value, when)
        if self._keys:
            self._asks.arrived.update(self._keys)


class Asks:
    """One component's. `state()` and the constructor are inverse to each other."""

    def __init__(self, component: str, state: AsksState) -> None:
        self._component = component
        self.kept = state
        self.asked = Asked()
        self.arrived: set[str] = set()
        self._samples: dict[str, Samples] = {key: Samples.restored(each) for key, each in state.samples.items()}
        self._budgets: dict[str, Budget] = {}
        self._by_name: dict[str, dict[str, Tracked]] = {}
        self._selectors: dict[str, list[Selector]] = {}
        self._live: list[Expression] | None = None
        """Expressions that name a series this component has; None: to be found out again."""

    def state(self) -> AsksState:
        self.kept.samples = {key: samples.state() for key, samples in self._samples.items()}
        self.kept.budgets = {name: budget.state() for name, budget in self._budgets.items()}
        return self.kept

    def watch(self, asked: Asked) -> None:
        """Take up what is asked now; hooks must be made again afterwards."""
        self.asked = asked
        known = {name: budget.state() for name, budget in self._budgets.items()} or self.kept.budgets
        self._budgets = {
            each.name: Budget.restored(each, known[each.name]) if each.name in known else Budget(each)
            for each in asked.objectives
        }
        self._selectors = {}
        for expression in asked.expressions:
            for selector in expression.selectors:
                self._selectors.setdefault(selector.name, []).append(selector)
        wanted = {_sampled(selector) for each in self._selectors.values() for selector in each}
        self._samples = {k: s for k, s in self._samples.items() if float(k.rpartition("@")[2]) in wanted}
        live = {expression.id for expression in asked.expressions}
        self.kept.breaches = {name: each for name, each in self.kept.breaches.items() if name in live}
        expected = {absence.METRICS, *asked.needed, *(each.key for each in asked.expects)}
        self.kept.regulars = {
            key: each for key, each in self.kept.regulars.items() if key in expected or key.startswith("probe:")
        }
        self._by_name = {}
        self._live = None

    def hook(self, tracked: Tracked) -> _Hook | None:
        """What this series feeds; None: nothing."""
        name, labels = tracked.name, tracked.labels
        if name in self._selectors:
            if name not in self._by_name:
                self._by_name[name], self._live = {}, None
            self._by_name[name][tracked.key] = tracked
        samples = tuple(self._samples_of(tracked))
        budgets: list[tuple[Objective, Budget, str]] = []
        for objective in self.asked.objectives:
            for part in objective.parts_of(name, labels):
                self._budgets[objective.name].knows(part)
                budgets.append((objective, self._budgets[objective.name], part))
        family = outliers.family_of(name, labels)
        keys = tuple(
            each.key
            for each in self.asked.expects
            if each.metric == name and all(re.fullmatch(p, labels.get(label, "")) for label, p in each.match)
        )
        if name in self.asked.needed:
            keys = (*keys, name)
        if samples or budgets or family or keys or name in self._selectors:
            return _Hook(self, samples, tuple(budgets), family, keys)
        return None

    def _samples_of(self, tracked: Tracked) -> Iterator[Samples]:
        ranges = {
            _sampled(selector)
            for selector in self._selectors.get(tracked.name, ())
            if _sampled(selector) and selector.matches(tracked.labels)
        }
        for range_s in sorted(ranges):
            key = f"{tracked.key}@{range_s:g}"
            if key not in self._samples:
                if len(self._samples) >= MAX_SAMPLES:
                    self.kept.left_out += 1
                    continue
                self._samples[key] = Samples(range_s)
            yield self._samples[key]

    def level(self, family: str, member: str, value: float, when: float) -> None:
        """A counter's level is its rate."""
        if family.partition("{")[0].endswith(COUNTER_SUFFIXES):
            key = f"{family}/{member}"
            before = self.kept.counted.get(key)
            self.kept.counted[key] = (when, value)
            if before is None or when <= before[0] or value < before[1]:
                return
            value = (value - before[1]) / (when - before[0])
        members = self.kept.families.setdefault(family, {})
        known = members.get(member)
        if known is not None:
            known.take(value, when)
        elif len(members) < outliers.MAX_MEMBERS:
            members[member] = Member(value, when)

    # ---- judging

    def judge(self, at: float, now: float) -> Told:
        """After a batch of readings."""
        told = Told()
        if self.asked.watched:
            self._arrivals({absence.METRICS, *self.arrived}, now, told)
        self.arrived.clear()
        for objective in self.asked.objectives:
            budget = self._budgets[objective.name]
            if budget.waits:
                budget.settle(objective, at)
                self._objective(objective, budget, at, told)
        if self.kept.families and at - self.kept.looked >= outliers.LOOK_S:
            self.kept.looked = at
            self._families(at, told)
        if self.asked.expressions and at - self.kept.judged >= JUDGE_S:
            self._expressions(at, told)
        return self._settled(told)

    def tick(self, now: float, grace_from: float, probes: Mapping[str, object]) -> Told:
        """Time has passed: what is silent, and what expressions no longer see. `probes`: those that packs declare."""
        told = Told()
        if not self.asked.watched:
            return told
        if self.asked.expressions and any(self.kept.breaches.values()) and now - self.kept.judged >= JUDGE_S:
            self._expressions(now, told)
        asked = {each.key: each for each in self.asked.expects}
        silent = False
        for key, regular in sorted(self.kept.regulars.items(), key=lambda each: each[0] != absence.METRICS):
            probe = key.startswith("probe:")
            if (probe and key.removeprefix("probe:") not in probes) or (silent and not probe):
                continue  # silence of all explains that of one
            expectation = asked.get(key, Expectation())
            allowed_s = regular.allowed_s(expectation.within_s)
            if allowed_s is not None and now - max(regular.seen, grace_from) > allowed_s:
                regular.told = True
                silent |= key == absence.METRICS
                told.bad.append(absence.finding(self._component, key, regular, allowed_s, expectation.severity, now))
        return self._settled(told)

    def probed(self, probe: str, now: float) -> Told:
        """A result of a declared probe has come."""
        told = Told()
        self._arrivals({f"probe:{probe}"}, now, told)
        return self._settled(told)

    def _settled(self, told: Told) -> Told:
        bad = {finding.fingerprint for finding in told.bad}
        clearing = dict.fromkeys([*self.kept.clearing, *told.cleared])
        self.kept.clearing = [each for each in clearing if each not in bad]
        told.good += self.kept.clearing
        return told

    def closed(self, is_open: Callable[[str], bool]) -> None:
        """What is over needn't be said to be good any more."""
        self.kept.clearing = [each for each in self.kept.clearing if is_open(each)]

    def _arrivals(self, keys: set[str], now: float, told: Told) -> None:
        for key in sorted(keys):
            regular = self.kept.regulars.get(key)
            if regular is None:
                self.kept.regulars[key] = Regular(now)
                continue
            if regular.told:
                regular.told = False
                method = Method.PROBE if key.startswith("probe:") else Method.THRESHOLD
                told.cleared.append(fingerprint(self._component, method, absence.subject(key)))
            regular.came(now)

    def _objective(self, objective: Objective, budget: Budget, at: float, told: Told) -> None:
        burn = budget.judge(objective, at)
        if isinstance(burn, slo.Burn):
            told.bad.append(slo.finding(self._component, objective, burn, budget.left(objective, at), at))
        elif burn is False:
            told.good.append(fingerprint(self._component, Method.THRESHOLD, slo.subject(objective)))

    def budgets(self, now: float) -> dict[str, float]:
        """Share of each objective's error budget that is left, to a hundredth."""
        left = {each.name: self._budgets[each.name].left(each, now) for each in self.asked.objectives}
        return {name: round(value, 2) for name, value in left.items() if value is not None}

    def _families(self, at: float, told: Told) -> None:
        for family, members in self.kept.families.items():
            apart, back = outliers.look(members, at)
            told.bad += [outliers.finding(self._component, family, each, at) for each in apart]
            told.cleared += [
                fingerprint(self._component, Method.ANOMALY, outliers.subject(family, member)) for member in back
            ]

    def _expressions(self, at: float, told: Told) -> None:
        self.kept.judged = at
        source = _Source(self, at)
        if self._live is None:
            self._live = [
                expression
                for expression in self.asked.expressions
                if any(each.name in self._by_name for each in expression.selectors)
            ]
        for expression in self._live:
            before = self.kept.breaches.get(expression.id, {})
            after: dict[str, tuple[float, bool]] = {}
            for labels, value in expressions.troubles(expression, source, at):
                what = expressions.subject(expression, labels)
                since, was_told = before.get(what, (at, False))
                is_told = was_told or at - since >= expression.for_s
                after[what] = (since, is_told)
                if is_told:
                    told.bad.append(expressions.finding(self._component, expression, labels, value, since, at))
            told.cleared += [
                fingerprint(self._component, Method.THRESHOLD, f"expr:{what}")
                for what, (_, was_told) in before.items()
                if was_told and what not in after
            ]
            self.kept.breaches[expression.id] = after

    # ---- housekeeping

    def forget(self, keys: Sequence[str], now: float, idle_s: float) -> None:
        """These series are gone."""
        gone = set(keys)
        for of_name in self._by_name.values():
            for key in gone & of_name.keys():
                del of_name[key]
        self._samples = {key: each for key, each in self._samples.items() if key.rpartition("@")[0] not in gone}
        for family, members in list(self.kept.families.items()):
            for name in [name for name, member in members.items() if now - member.seen > idle_s]:
                del members[name]
            if not members:
                del self.kept.families[family]
        self.kept.counted = {key: each for key, each in self.kept.counted.items() if now - each[0] <= idle_s}


def _sampled(selector: Selector) -> float:
    """The range that must be kept for a selector; 0: its newest value is enough."""
    return selector.range_s or selector.offset_s


class _Source:
    """What an evaluation reads: the component's series as they are now."""

    __slots__ = ("_asks", "_now")

    def __init__(self, asks: Asks, now: float) -> None:
        self._asks, self._now = asks, now

    def _series(self, selector: Selector) -> Iterator[Tracked]:
        for tracked in self._asks._by_name.get(selector.name, {}).values():
            if selector.matches(tracked.labels):
                yield tracked

    def instant(self, selector: Selector) -> list[tuple[Mapping[str, str], float, float]]:
        found: list[tuple[Mapping[str, str], float, float]] = []
        for tracked in self._series(selector):
            series = tracked.series
            if selector.offset_s:
                samples = self._asks._samples.get(f"{tracked.key}@{selector.offset_s:g}")
                value = samples.before(self._now - selector.offset_s) if samples else None
                if value is not None:
                    found.append((tracked.labels, value, self._now - selector.offset_s))
            elif series.last is not None and self._now - series.last_at <= STALE_S:
                found.append((tracked.labels, series.last, series.last_at))
        return found

    def over(self, selector: Selector, function: str, ahead_s: float) -> list[tuple[Mapping[str, str], float]]:
        found: list[tuple[Mapping[str, str], float]] = []
        for tracked in self._series(selector):
            samples = self._asks._samples.get(f"{tracked.key}@{selector.range_s:g}")
            value = samples.over(function, self._now, ahead_s) if samples else None
            if value is not None:
                found.append((tracked.labels, value))
        return found
