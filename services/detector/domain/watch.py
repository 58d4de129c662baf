"""What the packs ask to be watched, compiled once per pack change and looked up by component."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.detector.domain import log_patterns, thresholds
from services.detector.domain.checks import ProbePolicy
from services.detector.domain.log_patterns import Kind
from services.detector.domain.ratios import RatioLimit, ratio_of
from services.detector.domain.series import AlarmRate
from services.detector.domain.thresholds import Limit, limit_of
from shared.packs.model import Pack


@dataclass(frozen=True, slots=True)
class Watched:
    """All that is asked about one component. The defaults hold for components that no pack names."""

    limits: tuple[Limit, ...] = thresholds.DEFAULT_LIMITS
    ratios: tuple[RatioLimit, ...] = ()
    kinds: tuple[Kind, ...] = log_patterns.BUILT_IN
    alarm_rates: tuple[AlarmRate, ...] = ()
    """The first that names a metric, or all, holds for it."""


@dataclass(frozen=True)
class Watch:
    """The sum of all packs in force."""

    components: dict[str, Watched] = field(default_factory=dict)
    probes: dict[str, ProbePolicy] = field(default_factory=dict)

    def of(self, component: str) -> Watched:
        return self.components.get(component, _DEFAULT)

    def policy(self, probe: str) -> ProbePolicy:
        return self.probes.get(probe, _DEFAULT_POLICY)


_DEFAULT = Watched()
_DEFAULT_POLICY = ProbePolicy()


def compile_packs(packs: Iterable[Pack]) -> Watch:
    """`*` in a rule means every component of its own pack. Raises re.error for a pattern that is no expression."""
    components: dict[str, Watched] = {}
    probes: dict[str, ProbePolicy] = {}
    for pack in packs:
        kinds = log_patterns.in_force(log_patterns.kind_of(pattern) for pattern in pack.log_patterns)
        for name in pack.components:
            components[name] = Watched(
                limits=thresholds.in_force(limit_of(rule) for rule in pack.rules if rule.component in ("*", name)),
                ratios=tuple(ratio_of(ratio) for ratio in pack.ratios if ratio.component in ("*", name)),
                kinds=kinds,
                alarm_rates=tuple(
                    AlarmRate(each.metric, each.alarms_per_week)
                    for each in pack.anomalies
                    if each.component in ("*", name)
                ),
            )
        for probe in pack.probes:
            probes[probe.name] = ProbePolicy(probe.fail_after, probe.clear_after, probe.slow_ms)
    return Watch(components, probes)
