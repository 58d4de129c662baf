"""What the ranking of deviating series says of an incident: who was first, and whether a callee is behind it.

Series alone never make a cause certain: their weights stay below what is acted on, and add to other evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from services.diagnoser.domain.evidence import Cause, Evidence
from services.diagnoser.domain.patterns import MAY_COME_FROM_A_CALLEE, Nature
from services.diagnoser.domain.ranking import FAILURES, RESOURCES, Kind, Ranking, Suspect, Trouble, rank
from services.diagnoser.domain.signals import IncidentSeen
from shared.packs import Category

if TYPE_CHECKING:
    from services.diagnoser.domain.own import Scene

WINDOW = timedelta(minutes=5)
"""Series must have begun to deviate at most so long before the incident opened …"""
AFTER = timedelta(seconds=10)
"""… and at most so long after: alarms and readings come at different paces."""
CLEAR_LEAD = 0.5
"""Share of all suspects' weight from which the first is told as a cause."""
OWN_WEIGHT = 0.35
CALLEE_WEIGHT = 0.6
ELSEWHERE_WEIGHT = 0.3
"""Of a component of the same pack that no graph connects with the incident."""
BURST = 1.5
"""Load that grew so much explains slow answers all the way down: no callee is blamed for it."""
BURST_WEIGHT = 0.35

_KINDS: Mapping[Nature, frozenset[Kind]] = {
    Nature.SLOW: frozenset({Kind.LATENCY}),
    Nature.ERRORS: FAILURES,
    Nature.REFUSED: FAILURES,
}
_CATEGORIES: Mapping[Kind, Category] = {
    Kind.CPU: Category.OVERLOAD,
    Kind.MEMORY: Category.RESOURCE_EXHAUSTION,
    Kind.RESOURCE: Category.RESOURCE_EXHAUSTION,
    Kind.LATENCY: Category.TIMEOUT,
}


def ranking_for(incident: IncidentSeen, scene: Scene) -> Ranking:
    """Suspects among the component, what it calls, and, where it calls nothing, all of its pack."""
    earliest, latest = (incident.opened_at - WINDOW).timestamp(), (incident.opened_at + AFTER).timestamp()
    seen = [one.between(earliest, latest) for one in scene.seen]
    return rank(seen, scene.graph, Trouble(incident.component, _KINDS.get(scene.nature(incident), frozenset())))


def own_deviations(incident: IncidentSeen, scene: Scene) -> Iterable[Evidence]:
    """Evidence for causes of the component itself."""
    if not scene.seen:
        return
    ranking = ranking_for(incident, scene)
    burst = burst_words(incident, ranking)
    if burst:
        yield Evidence(Category.OVERLOAD, BURST_WEIGHT, burst)
        return
    first = next(iter(ranking.suspects), None)
    if first is None or first.share < CLEAR_LEAD:
        return
    if first.component != incident.component:
        if may_be_felt(incident, first, scene):
            words = f"{incident.component} calls {first.component}: {first.words}"
            yield Evidence(Category.DEPENDENCY_FAILURE, CALLEE_WEIGHT * first.share, words[:300])
        return
    own = next((one for one in first.deviations if one.kind in RESOURCES and one.score > 0), None)
    if own is not None:
        yield Evidence(_CATEGORIES[own.kind], OWN_WEIGHT * first.share, first.words)


def causes_elsewhere(incident: IncidentSeen, scene: Scene) -> list[Cause]:
    """The first suspect as a cause where it is, also when it has no incident of its own."""
    if not scene.seen:
        return []
    ranking = ranking_for(incident, scene)
    first = next(iter(ranking.suspects), None)
    if first is None or first.component == incident.component or first.share < CLEAR_LEAD:
        return []
    if burst_words(incident, ranking):
        return []
    if may_be_felt(incident, first, scene):
        weight = CALLEE_WEIGHT
    elif not scene.graph.callees(incident.component) and first.deviations[0].kind in RESOURCES:
        weight = ELSEWHERE_WEIGHT
    else:
        return []
    category = _CATEGORIES.get(first.deviations[0].kind, Category.UNKNOWN)
    signature = f"{category.value}:deviates"
    return [Cause(first.component, category, round(weight * first.share, 3), signature, (first.words,))]


def may_be_felt(incident: IncidentSeen, suspect: Suspect, scene: Scene) -> bool:
    """Whether the incident's kind of trouble can come from this callee."""
    return (
        scene.nature(incident) in MAY_COME_FROM_A_CALLEE
        and suspect.component in scene.graph.callees(incident.component)
        and incident.component not in scene.graph.callees(suspect.component)
    )


def burst_words(incident: IncidentSeen, ranking: Ranking) -> str:
    """In words that the component's own load rose; nothing when it didn't."""
    for one in ranking.series:
        if one.component == incident.component and one.kind is Kind.LOAD and one.ratio >= BURST and one.score > 0:
            return f"{one.component}'s {one.metric} rose {one.ratio:.1f}×: more work came"
    return ""
