"""Evidence that a trouble is the component's own: its pattern, its changes, its anomalies, its pack's signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from services.diagnoser.domain.context import signature_context
from services.diagnoser.domain.evidence import Cause, Evidence, weigh
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.patterns import CONCLUSIVE, Nature, is_conclusive, nature_of, prior
from services.diagnoser.domain.signals import (
    AnomalySeen,
    ChangeSeen,
    ComponentFacts,
    IncidentSeen,
    KnownProblem,
)
from shared.packs import Category
from shared.packs.expressions import condition_holds

CHANGE_WINDOW_S = 1_800.0
"""Older changes are not held against a component."""
CHANGE_SKEW_S = 10.0
"""A change may be told a little after the trouble that it made."""
CHANGE_HALF_LIFE_S = 300.0
ECHO_BEFORE_S, ECHO_AFTER_S = 1.0, 3.0
"""A file that a repair writes is also seen as a changed file, up to a second before the repair is told of and soon
after: that change is not held against it. A change much later than that is somebody's."""
ALIVE_WEIGHT = 0.75
FACT_DISCOUNT = 0.6
"""A pattern seen beside the incident's own counts for less than the one that opened it."""
CONCLUSIVE_DISCOUNT = 0.6
"""A process that is gone can be started again whatever was changed before."""
STRONG_SCORE = 6.0

CHANGE_WEIGHTS = {
    "config": (Category.CONFIGURATION, 0.8),
    "flag": (Category.CONFIGURATION, 0.65),
    "deployment": (Category.DEPLOYMENT, 0.75),
    "migration": (Category.DEPLOYMENT, 0.5),
    "scale": (Category.OVERLOAD, 0.2),
}
ANOMALY_WEIGHTS = (
    ("cpu", Category.OVERLOAD, 0.4),
    ("memory", Category.RESOURCE_EXHAUSTION, 0.4),
    ("disk", Category.RESOURCE_EXHAUSTION, 0.4),
    ("queue", Category.OVERLOAD, 0.3),
    ("pending", Category.OVERLOAD, 0.3),
    ("connection", Category.DATABASE_CONNECTION, 0.25),
    ("latency", Category.TIMEOUT, 0.2),
    ("duration", Category.TIMEOUT, 0.2),
)


@dataclass(frozen=True)
class Scene:
    """Everything known at one moment. `incidents`: open ones, `log_categories`: what packs say of log patterns."""

    now: datetime
    incidents: Sequence[IncidentSeen] = ()
    changes: Sequence[ChangeSeen] = ()
    anomalies: Sequence[AnomalySeen] = ()
    graph: CallGraph = field(default_factory=CallGraph)
    known_problems: Sequence[KnownProblem] = ()
    components: dict[str, ComponentFacts] = field(default_factory=dict)
    log_categories: dict[str, Category] = field(default_factory=dict)

    @cached_property
    def by_component(self) -> dict[str, list[IncidentSeen]]:
        found: dict[str, list[IncidentSeen]] = {}
        for incident in self.incidents:
            found.setdefault(incident.component, []).append(incident)
        return found

    def of(self, component: str) -> list[IncidentSeen]:
        return self.by_component.get(component, [])

    def below(self, component: str) -> Iterator[IncidentSeen]:
        """Open incidents of everything that `component` calls, directly or not."""
        for callee in self.graph.callees(component):
            yield from self.of(callee)

    def known_problems_of(self, component: str) -> list[KnownProblem]:
        return [known for known in self.known_problems if known.component in {"*", component}]

    def facts(self, component: str) -> ComponentFacts:
        return self.components.get(component) or ComponentFacts(component)

    def nature(self, incident: IncidentSeen) -> Nature:
        return nature_of(incident.pattern, self.log_categories)


def most_telling(incidents: Iterable[IncidentSeen], per_component: int = 8) -> list[IncidentSeen]:
    """At most so many of each component, the conclusive and the earliest first: a storm of alarms says no more."""
    kept: dict[str, int] = {}
    found = []
    for incident in sorted(incidents, key=lambda i: (not is_conclusive(i.pattern), i.opened_at, str(i.id))):
        kept[incident.component] = kept.get(incident.component, 0) + 1
        if kept[incident.component] <= per_component:
            found.append(incident)
    return found


def own_causes(incident: IncidentSeen, scene: Scene) -> list[Cause]:
    """Causes within the component itself, best first; empty when nothing is known."""
    evidence = [
        *_from_pattern(incident, scene),
        *_from_facts(incident, scene),
        *_from_changes(incident, scene),
        *_from_anomalies(incident, scene),
        *_from_signatures(incident, scene),
    ]
    return weigh(incident.component, incident.pattern, evidence)


def seen_alive(incident: IncidentSeen, scene: Scene) -> bool:
    """Its process is watched, and no probe says that it is gone or suspended."""
    return scene.facts(incident.component).process_watched and not any(
        scene.nature(other) in CONCLUSIVE for other in scene.of(incident.component)
    )


def _from_pattern(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    nature, causes = prior(incident.pattern, scene.log_categories)
    for category, weight in causes:
        yield Evidence(category, weight, f"{incident.pattern}: {incident.summary}")
    if nature is Nature.SILENT and seen_alive(incident, scene):
        yield Evidence(Category.HANG, ALIVE_WEIGHT, "its process is there but gives no answer")


def _from_facts(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """Log patterns seen beside: other signals open incidents of their own, which are looked at as such."""
    for fact in incident.evidence:
        if fact.component == incident.component and fact.name.startswith("log:") and fact.name != incident.pattern:
            for category, weight in prior(fact.name, scene.log_categories)[1]:
                yield Evidence(category, weight * FACT_DISCOUNT, f"{fact.name}: {fact.observed}"[:200])


def changes_before(incident: IncidentSeen, changes: Iterable[ChangeSeen]) -> list[ChangeSeen]:
    """Changes of the component that may have made this trouble, newest first; repairs and their echoes left out."""
    own = [change for change in changes if change.component == incident.component]
    repairs = [change.at for change in own if change.kind == "repair"]
    earliest = incident.opened_at - timedelta(seconds=CHANGE_WINDOW_S)
    latest = incident.opened_at + timedelta(seconds=CHANGE_SKEW_S)
    suspects = [
        change
        for change in own
        if change.kind != "repair"
        and earliest <= change.at <= latest
        and not any(-ECHO_BEFORE_S <= (change.at - at).total_seconds() <= ECHO_AFTER_S for at in repairs)
    ]
    return sorted(suspects, key=lambda change: (change.at, change.kind), reverse=True)


def change_age_s(incident: IncidentSeen, change: ChangeSeen) -> float:
    """Seconds from the change to the opening of the incident: it doesn't grow while the incident is open."""
    return max(0.0, (incident.opened_at - change.at).total_seconds())


def _from_changes(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    told: set[Category] = set()
    for change in changes_before(incident, scene.changes):
        category, base = CHANGE_WEIGHTS.get(change.kind, (Category.UNKNOWN, 0.0))
        if category in told or not base:
            continue
        told.add(category)
        age_s = change_age_s(incident, change)
        weight = base * 0.5 ** (age_s / CHANGE_HALF_LIFE_S)
        if scene.nature(incident) in CONCLUSIVE:
            weight *= CONCLUSIVE_DISCOUNT
        yield Evidence(category, weight, f"{change.kind} change {age_s:.0f} s before: {change.summary}"[:200])


def _from_anomalies(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    strongest: dict[Category, Evidence] = {}
    for anomaly in scene.anomalies:
        if anomaly.component != incident.component:
            continue
        for word, category, base in ANOMALY_WEIGHTS:
            if word in anomaly.metric.lower():
                usual = f"{anomaly.expected_low:.4g} to {anomaly.expected_high:.4g}"
                piece = Evidence(
                    category,
                    base * min(1.0, abs(anomaly.score) / STRONG_SCORE),
                    f"{anomaly.metric} is {anomaly.observed:.4g}, usually {usual}",
                )
                if category not in strongest or piece.weight > strongest[category].weight:
                    strongest[category] = piece
                break
    return strongest.values()


def _from_signatures(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    context: dict[str, object] | None = None
    for known in scene.known_problems_of(incident.component):
        if context is None:
            suspects = changes_before(incident, scene.changes)
            newest = (suspects[0], change_age_s(incident, suspects[0])) if suspects else None
            context = signature_context(
                incident,
                scene.of(incident.component),
                newest,
                scene.facts(incident.component),
                callee=worst_callee(incident, scene),
                anomalies=[a.metric for a in scene.anomalies if a.component == incident.component],
                now=scene.now,
            )
        if condition_holds(known.when, context):
            yield Evidence(
                known.category, known.confidence, f"matches the known problem `{known.id}`: {known.when}", known.id
            )


def worst_callee(incident: IncidentSeen, scene: Scene) -> IncidentSeen | None:
    """The open incident of the deepest troubled component that this one calls; the earliest of several."""
    depths = scene.graph.callees(incident.component)
    return min(
        scene.below(incident.component), key=lambda o: (-depths[o.component], o.opened_at, str(o.id)), default=None
    )
