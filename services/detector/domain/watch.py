"""What the packs ask to be watched, compiled once per pack change and looked up by component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.detector.domain import log_patterns, thresholds
from services.detector.domain.absence import Expectation
from services.detector.domain.asks import Asked
from services.detector.domain.checks import ProbePolicy
from services.detector.domain.expressions import Expression, expression_of
from services.detector.domain.log_patterns import Kind
from services.detector.domain.priority import Standing
from services.detector.domain.ratios import RatioLimit, ratio_of
from services.detector.domain.series import AlarmRate
from services.detector.domain.signals import Severity
from services.detector.domain.silences import Silence, Silences, Window
from services.detector.domain.slo import objectives_of
from services.detector.domain.thresholds import Limit, limit_of
from services.detector.domain.worth import Worth
from shared.packs.library import Library
from shared.packs.model import Expect, Pack
from shared.packs.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Watched:
    """All that is asked about one component. The defaults hold for components that no pack names."""

    limits: tuple[Limit, ...] = thresholds.DEFAULT_LIMITS
    ratios: tuple[RatioLimit, ...] = ()
    kinds: tuple[Kind, ...] = log_patterns.BUILT_IN
    alarm_rates: tuple[AlarmRate, ...] = ()
    """The first that names a metric, or all, holds for it."""
    asked: Asked = field(default_factory=Asked)
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True)
class Watch:
    """The sum of all packs in force."""

    components: dict[str, Watched] = field(default_factory=dict)
    probes: dict[str, ProbePolicy] = field(default_factory=dict)
    silences: Silences = field(default_factory=Silences)
    worth: Mapping[tuple[str, str], Worth] = field(default_factory=dict)
    """By component and pattern: what the learner says of such alarms."""

    def of(self, component: str) -> Watched:
        return self.components.get(component, _DEFAULT)

    def policy(self, probe: str) -> ProbePolicy:
        return self.probes.get(probe, _DEFAULT_POLICY)


_DEFAULT = Watched()
_DEFAULT_POLICY = ProbePolicy()
_NO_LIBRARY = Library()


def compile_packs(packs: Iterable[Pack], silences: Iterable[Silence] = (), library: Library = _NO_LIBRARY) -> Watch:
    """`*` in a rule means every component of its own pack. `library`: what holds unless a pack says otherwise.

    Raises:
        ValueError: a pattern that is no expression (re.error, too), PromQL beyond the subset, or no window of time.
    """
    packs = list(packs)
    callers = _callers(packs)
    components: dict[str, Watched] = {}
    probes: dict[str, ProbePolicy] = {}
    for pack in packs:
        known = library.for_pack(pack)
        expressions = tuple(map(expression_of, known.rules))
        patterns = (*pack.log_patterns, *known.log_patterns)
        kinds = log_patterns.in_force(log_patterns.kind_of(pattern) for pattern in patterns)
        for name in pack.components:
            limits = thresholds.in_force(
                limit_of(rule) for rule in pack.rules if rule.component in ("*", name) and rule.expr is None
            )
            ratios = tuple(ratio_of(ratio) for ratio in pack.ratios if ratio.component in ("*", name))
            components[name] = Watched(
                limits,
                ratios,
                kinds,
                tuple(
                    AlarmRate(each.metric, each.alarms_per_week)
                    for each in pack.anomalies
                    if each.component in ("*", name)
                ),
                _asked(pack, name, limits, ratios, expressions),
                Standing(pack.components[name].criticality, len(callers.get(name, ()))),
            )
        for probe in pack.probes:
            probes[probe.name] = ProbePolicy(probe.fail_after, probe.clear_after, probe.slow_ms)
    return Watch(components, probes, Silences(tuple(silences), tuple(_windows(packs)), _practice(packs)))


def _asked(
    pack: Pack, name: str, limits: tuple[Limit, ...], ratios: tuple[RatioLimit, ...], known: Iterable[Expression]
) -> Asked:
    slo = pack.components[name].slo
    objectives = objectives_of(slo, ratios) if slo else ()
    expressions = tuple(
        expression_of(rule) for rule in pack.rules if rule.expr is not None and rule.component in ("*", name)
    )
    counted = {limit.metric for limit in limits} | {metric for each in ratios for metric in (each.errors, each.total)}
    expressions += tuple(
        each for each in known if counted.isdisjoint(selector.name for selector in each.selectors)
    )  # as with the default limits: what the pack itself judges, the library doesn't judge again
    for expression in expressions:
        _ = expression.tree  # says what is wrong now, and not in the middle of the stream
    defaults = {limit.metric for limit in thresholds.DEFAULT_LIMITS}
    return Asked(
        objectives,
        expressions,
        tuple(_expectation(each) for each in pack.expects if each.component in ("*", name)),
        frozenset({limit.metric for limit in limits} - defaults)
        | {ratio.total for ratio in ratios}
        | {each.metric for each in objectives if not each.threshold_ms},
        watched=True,
    )


def _expectation(expect: Expect) -> Expectation:
    match = tuple(sorted(expect.labels.items()))
    return Expectation(expect.metric, match, expect.within_s, Severity(expect.severity.value))


def _callers(packs: Iterable[Pack]) -> Mapping[str, set[str]]:
    """Who depends on each component, directly or not."""
    direct: dict[str, set[str]] = {}
    for pack in packs:
        for name, component in pack.components.items():
            for called in component.calls:
                direct.setdefault(called, set()).add(name)
    found: dict[str, set[str]] = {}
    for name in direct:
        waiting = list(direct[name])
        reached: set[str] = set()
        while waiting:
            caller = waiting.pop()
            if caller not in reached:
                reached.add(caller)
                waiting += direct.get(caller, ())
        found[name] = reached - {name}
    return found


def _practice(packs: Iterable[Pack]) -> frozenset[str]:
    return frozenset(name for pack in packs for name, component in pack.components.items() if component.practice)


def _windows(packs: Iterable[Pack]) -> Iterable[Window]:
    for pack in packs:
        for one in pack.maintenance:
            if not one.mute:
                continue
            members = frozenset(
                name
                for name, component in pack.components.items()
                if one.component in (None, name) and one.group in (None, component.group)
            )
            yield Window(members, one.when, Schedule.parse(one.when), one.reason)
