"""Which open incidents explain another one: a callee's trouble its callers', a crash all silence of its component.

"Explains" always leads to an incident that stands lower: deeper in the call graph, or, among incidents of one
component or one circle of calls, earlier in a fixed order. So there is never a circle of symptoms, and among any
open incidents at least one is taken for a cause of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.diagnoser.domain.evidence import Cause
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.own import Scene, own_causes
from services.diagnoser.domain.patterns import (
    CONCLUSIVE,
    HARM_TO_CALLERS,
    MAY_COME_FROM_A_CALLEE,
    MAY_COME_FROM_OWN_CRASH,
    Nature,
)
from services.diagnoser.domain.signals import IncidentSeen
from shared.packs import Category, Severity

SHOWS_LATE_S = 5.0
"""So long after the callee is well again a caller's trouble may still begin: shares of errors look back."""
SLACK_S = 10.0
"""Alarms of one trouble may come in any order within this time: probes and windows differ."""
RULE_SLACK_S = 60.0
"""Where a rule over windows of a minute or more found one of the two."""
LONG_BEFORE_S = 600.0
LONG_BEFORE_FACTOR = 0.7
WARNING_FACTOR = 0.9
PER_CALL_FACTOR = 0.97
SYMPTOM_AT = 0.6
"""From this weight on an incident is taken for a symptom."""
SAME_CAUSE_WEIGHT = 0.9
_TAKES_ITS_CALLERS_ALONG = CONCLUSIVE | {Nature.REFUSED, Nature.SILENT, Nature.DATABASE}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Another incident that explains this one, and how likely that is."""

    incident: IncidentSeen
    weight: float
    words: str


@dataclass
class Explainer:
    """Searches one scene; remembers what it has worked out."""

    scene: Scene
    _own: dict[UUID, list[Cause]] = field(default_factory=dict)
    _roots: dict[UUID, tuple[Explanation, ...]] = field(default_factory=dict)

    def own(self, incident: IncidentSeen) -> list[Cause]:
        if incident.id not in self._own:
            self._own[incident.id] = own_causes(incident, self.scene)
        return self._own[incident.id]

    def roots(self, incident: IncidentSeen) -> tuple[Explanation, ...]:
        """Incidents that explain this one and are explained by none themselves, the likeliest first."""
        if incident.id not in self._roots:
            best: dict[UUID, Explanation] = {}
            for found in self._direct(incident):
                deeper = [root for root in self.roots(found.incident) if root.weight >= SYMPTOM_AT]
                for end in deeper or (found,):
                    weight = min(found.weight, end.weight)
                    known = best.get(end.incident.id)
                    if known is None or weight > known.weight:
                        best[end.incident.id] = Explanation(
                            end.incident, weight, _words(incident, end.incident, self.scene.graph)
                        )
            order = sorted(best.values(), key=lambda e: (-e.weight, e.incident.opened_at, str(e.incident.id)))
            self._roots[incident.id] = tuple(order)
        return self._roots[incident.id]

    def _direct(self, incident: IncidentSeen) -> list[Explanation]:
        found = []
        for other in (*self.scene.of(incident.component), *self.scene.below(incident.component)):
            if other.id == incident.id:
                continue
            same = other.component == incident.component
            weight = self._sibling_weight(incident, other) if same else self._callee_weight(incident, other)
            if weight > 0:
                found.append(Explanation(other, weight, _words(incident, other, self.scene.graph)))
        return found

    def _callee_weight(self, incident: IncidentSeen, other: IncidentSeen) -> float:
        if other.was_over(incident, SHOWS_LATE_S):
            return 0.0
        depth = self.scene.graph.callees(incident.component)[other.component]
        told_of = self._told_of(incident, other)
        if self.scene.nature(incident) not in MAY_COME_FROM_A_CALLEE and not told_of:
            return 0.0
        in_circle = incident.component in self.scene.graph.callees(other.component)
        if in_circle and not self._stands_lower(other, incident):
            return 0.0
        before_s = (incident.opened_at - other.opened_at).total_seconds()
        if before_s < -(RULE_SLACK_S if {"rule"} & (incident.labels.keys() | other.labels.keys()) else SLACK_S):
            return 0.0
        harm = HARM_TO_CALLERS[self.scene.nature(other)]
        weight = max(harm, SAME_CAUSE_WEIGHT if told_of else 0.0) * PER_CALL_FACTOR ** (depth - 1)
        if other.severity is Severity.WARNING:
            weight *= WARNING_FACTOR
        if before_s > LONG_BEFORE_S:
            weight *= LONG_BEFORE_FACTOR
        return weight

    def _sibling_weight(self, incident: IncidentSeen, other: IncidentSeen) -> float:
        if not self._stands_lower(other, incident):
            return 0.0
        cause, mine = self._best_own(other), self._best_own(incident)
        within = (incident.opened_at - other.opened_at).total_seconds() >= -SLACK_S
        nature = self.scene.nature(incident)
        down = cause is not None and cause.category in {Category.CRASH, Category.HANG}
        if cause and down and within and nature in MAY_COME_FROM_OWN_CRASH:
            return cause.confidence
        # Two full resources are two troubles, though their category is the same (requirement B29).
        alone = Nature.RESOURCE in {nature, self.scene.nature(other)}
        if other.was_over(incident):
            return 0.0
        if cause and mine and cause.category == mine.category and within and not alone:
            return min(SAME_CAUSE_WEIGHT, cause.confidence)
        return 0.0

    def _told_of(self, incident: IncidentSeen, other: IncidentSeen) -> bool:
        """Error lines of a limit, a full store or a lost database tell of the callee where that has such a trouble."""
        if not incident.pattern.startswith("log:") and self.scene.nature(incident) not in MAY_COME_FROM_A_CALLEE:
            return False
        mine, theirs = self._best_own(incident), self._best_own(other)
        if mine and theirs and mine.category == theirs.category:
            return True
        return self.scene.nature(incident) is Nature.DATABASE and self.scene.nature(other) in _TAKES_ITS_CALLERS_ALONG

    def _best_own(self, incident: IncidentSeen) -> Cause | None:
        return next(iter(self.own(incident)), None)

    def _stands_lower(self, one: IncidentSeen, other: IncidentSeen) -> bool:
        return self._order(one) < self._order(other)

    def _order(self, incident: IncidentSeen) -> tuple[int, datetime, str]:
        return (int(self.scene.nature(incident) not in CONCLUSIVE), incident.opened_at, str(incident.id))


def _words(incident: IncidentSeen, other: IncidentSeen, graph: CallGraph) -> str:
    before_s = (incident.opened_at - other.opened_at).total_seconds()
    when = f"{before_s:.0f} s earlier" if before_s >= 1 else "at the same time"
    if other.component == incident.component:
        return f"{other.component} itself: {other.summary} ({other.pattern}, {when})"
    known_by = " (observed in traces)" if graph.rests_on_traces(incident.component, other.component) else ""
    return f"{incident.component} calls {other.component}{known_by}, in trouble {when}: {other.summary}"[:300]
