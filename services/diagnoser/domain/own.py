"""Evidence that a trouble is the component's own: its pattern, its changes, its anomalies, its pack's signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from services.diagnoser.domain.calibration import Calibrator
from services.diagnoser.domain.changes import (
    AFTER_A_REPAIR,
    Place,
    change_age_s,
    changes_before,
    repair_before,
    suspects,
)
from services.diagnoser.domain.context import signature_context
from services.diagnoser.domain.deviating import own_deviations
from services.diagnoser.domain.evidence import Cause, Evidence, weigh
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.history import Judged, precedents
from services.diagnoser.domain.measured import readings
from services.diagnoser.domain.patterns import (
    CONCLUSIVE,
    Nature,
    is_conclusive,
    message_says,
    nature_of,
    prior,
    words_of,
)
from services.diagnoser.domain.providers import PROVIDER_KINDS, provider_trouble
from services.diagnoser.domain.ranking import Seen
from services.diagnoser.domain.signals import (
    AnomalySeen,
    ChangeSeen,
    ComponentFacts,
    IncidentSeen,
    KnownProblem,
)
from shared.packs import Category
from shared.packs.expressions import condition_holds

ALIVE_WEIGHT = 0.75
ALL_SILENT = "silence of all metrics"
"""What the detector calls it."""
GONE_WEIGHT = 0.65
DATABASE_KINDS = frozenset({"database", "postgresql", "postgres", "mysql", "mariadb", "mongodb"})
DOWN_WEIGHT = 0.9
FACT_DISCOUNT = 0.6
"""A pattern seen beside the incident's own counts for less than the one that opened it."""


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
    judged: Sequence[Judged] = ()
    """What earlier diagnoses turned out to be worth."""
    calibrator: Calibrator = field(default_factory=Calibrator)
    seen: Sequence[Seen] = ()
    """What the series of each component say lately."""

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
    evidence = [piece for source in SOURCES for piece in source(incident, scene)]
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


def _from_silence(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """Nothing at all comes of it any more, and it doesn't answer: it is gone rather than slow."""
    silent = any(fact.name == ALL_SILENT and fact.component == incident.component for fact in incident.evidence)
    if silent and scene.nature(incident) is Nature.SILENT and not seen_alive(incident, scene):
        yield Evidence(Category.CRASH, GONE_WEIGHT, "it neither answers nor sends any metrics")


def _from_refusal(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """A database that refuses connections is down itself; that callers see trouble with it is their side of it."""
    words = words_of(incident.pattern)
    if scene.facts(incident.component).kind in DATABASE_KINDS and words & {"refused", "down"}:
        yield Evidence(Category.CRASH, DOWN_WEIGHT, "it is the database itself, and takes no connections")


def _from_messages(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """What error lines say in their own words, each category once."""
    told: dict[Category, Evidence] = {}
    texts = [incident.summary]
    texts += [str(fact.observed) for fact in incident.evidence if fact.component == incident.component]
    spoken_for = {category for category, _ in prior(incident.pattern, scene.log_categories)[1]}
    for text in texts:
        for category, weight in message_says(text):
            if category not in spoken_for and (category not in told or weight > told[category].weight):
                told[category] = Evidence(category, weight, f"a message says: {text}"[:200])
    return told.values()


def _from_changes(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """Its own changes; those of neighbours are causes elsewhere."""
    for suspect in suspects(incident, scene.nature(incident), scene.changes, scene.graph):
        if suspect.place is Place.OWN:
            yield Evidence(suspect.category, suspect.weight, suspect.words)


def _from_repairs(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    repair = repair_before(incident, scene.changes)
    meaning = AFTER_A_REPAIR.get(scene.nature(incident))
    if repair and meaning:
        ago_s = change_age_s(incident, repair)
        yield Evidence(*meaning, f"it is back {ago_s:.0f} s after a repair: {repair.summary}"[:200])


def _from_anomalies(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    strongest: dict[Category, Evidence] = {}
    for reading in readings(scene.anomalies, incident.component):
        strongest.setdefault(reading.rule.category, Evidence(reading.rule.category, reading.weight, reading.words))
    return strongest.values()


def _from_provider(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """A provider is somebody else's: what is bad there is no crash or configuration of ours (C10)."""
    if scene.facts(incident.component).kind not in PROVIDER_KINDS:
        return
    natures = [scene.nature(other) for other in scene.of(incident.component)]
    series = [one for one in scene.anomalies if one.component == incident.component]
    trouble = provider_trouble(scene.nature(incident), natures, series)
    if trouble:
        yield Evidence(Category.THIRD_PARTY, trouble.weight, trouble.words, trouble.signature)


def _from_history(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    for one in precedents(scene.judged, incident.component, incident.pattern):
        yield Evidence(one.category, one.weight, one.words)


def _from_signatures(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    context: dict[str, object] | None = None
    for known in scene.known_problems_of(incident.component):
        if context is None:
            before = changes_before(incident, scene.changes)
            newest = (before[0], change_age_s(incident, before[0])) if before else None
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
    """The incident of the deepest component that this one calls and that was in trouble when it began; the earliest of
    several."""
    depths = scene.graph.callees(incident.component)
    troubled = (one for one in scene.below(incident.component) if not one.was_over(incident))
    return min(troubled, key=lambda o: (-depths[o.component], o.opened_at, str(o.id)), default=None)


SOURCES: Sequence[Callable[[IncidentSeen, Scene], Iterable[Evidence]]] = (
    _from_pattern,
    _from_facts,
    _from_silence,
    _from_refusal,
    _from_messages,
    _from_changes,
    _from_repairs,
    _from_anomalies,
    own_deviations,
    _from_provider,
    _from_history,
    _from_signatures,
)
"""Each looks at one kind of evidence; a new kind is one more function here."""
