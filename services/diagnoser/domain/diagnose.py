"""From a scene to a diagnosis: own causes, incidents that explain this one, and what is left unknown."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.diagnoser.domain.evidence import CERTAIN, Cause, noisy_or, rank
from services.diagnoser.domain.own import CHANGE_WINDOW_S, Scene, changes_before, seen_alive
from services.diagnoser.domain.patterns import CONCLUSIVE
from services.diagnoser.domain.report import FIX_S, FixType, fix_type_of, write_report
from services.diagnoser.domain.signals import IncidentSeen
from services.diagnoser.domain.symptoms import SLACK_S, SYMPTOM_AT, Explainer, Explanation
from shared.packs import Category

__all__ = ["Diagnosis", "Scene", "diagnose"]

MAX_CAUSES = 8
DESCRIBES_ONLY = frozenset({Category.DEPENDENCY_FAILURE, Category.TIMEOUT})
"""Categories that say how a caller feels its callee's trouble: they never compete with the callee's own cause."""
OF_THE_CALLER = 0.98
"""Confidence that the caller's trouble is its dependency, given that the callee is the cause: a shade less."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Ranked causes of one incident; at least one, the last resort being `unknown`."""

    incident_id: UUID
    component: str
    incident_revision: int
    causes: tuple[Cause, ...]
    symptom_of: UUID | None
    affected: tuple[str, ...]
    ruled_out: tuple[str, ...]
    report: str
    fix_type: FixType | None
    estimated_fix_s: float | None

    @property
    def best(self) -> Cause:
        return self.causes[0]


def diagnose(incident: IncidentSeen, scene: Scene, explainer: Explainer | None = None) -> Diagnosis:
    """Why `incident` is there. The same scene gives the same diagnosis."""
    explainer = explainer or Explainer(scene)
    own = explainer.own(incident)
    roots = explainer.roots(incident)
    causes, symptom_of = _combine(incident, own, roots, explainer)
    ranked = _with_doubt(incident, causes)
    best = ranked[0]
    affected = tuple(sorted(scene.graph.callers(best.component)))
    ruled_out = _ruled_out(incident, scene, roots, best)
    unknown = best.category is Category.UNKNOWN
    return Diagnosis(
        incident_id=incident.id,
        component=incident.component,
        incident_revision=incident.revision,
        causes=ranked,
        symptom_of=symptom_of.incident.id if symptom_of else None,
        affected=affected,
        ruled_out=ruled_out,
        report=write_report(incident, ranked, symptom_of is not None, affected, ruled_out),
        fix_type=None if unknown else fix_type_of(best.category),
        estimated_fix_s=FIX_S.get(best.category),
    )


def _combine(
    incident: IncidentSeen, own: list[Cause], roots: tuple[Explanation, ...], explainer: Explainer
) -> tuple[list[Cause], Explanation | None]:
    """Own causes and those of other incidents, and the incident of which this one is a symptom, if it is one."""
    felt = max((c.confidence for c in own if c.category is Category.DEPENDENCY_FAILURE), default=0.0)
    foreign: list[tuple[Cause, Explanation]] = []
    for root in roots[:MAX_CAUSES]:
        elsewhere = root.incident.component != incident.component
        confidence = noisy_or([root.weight, felt]) if elsewhere and root.weight >= SYMPTOM_AT else root.weight
        foreign.append((_cause_of(root, confidence, explainer), root))
    rival = max((c.confidence for c in own if c.category not in DESCRIBES_ONLY), default=0.0)
    symptom_of = None
    causes = {(c.component, c.category): c for c in own}
    if foreign:
        first, explanation = foreign[0]
        same_cause = explanation.incident.component == incident.component
        if explanation.weight >= SYMPTOM_AT and (same_cause or first.confidence >= rival):
            symptom_of = explanation
    for cause, root in foreign:
        known = causes.get((cause.component, cause.category))
        causes[cause.component, cause.category] = _merged(known, cause)
        if root.incident.component != incident.component:
            key = (incident.component, Category.DEPENDENCY_FAILURE)
            causes[key] = _merged(causes.get(key), _dependency(incident, cause, root), capped=True)
    ranked = sorted(causes.values(), key=rank)
    if symptom_of:
        top = causes[foreign[0][0].component, foreign[0][0].category]
        ranked = [_lifted(top, ranked), *(cause for cause in ranked if cause is not top)]
    return ranked, symptom_of


def _cause_of(root: Explanation, confidence: float, explainer: Explainer) -> Cause:
    theirs = next(iter(explainer.own(root.incident)), None)
    category = theirs.category if theirs else Category.UNKNOWN
    signature = theirs.signature if theirs else f"{category.value}:{root.incident.pattern}"
    return Cause(root.incident.component, category, round(confidence, 3), signature, (root.words,))


def _dependency(incident: IncidentSeen, cause: Cause, root: Explanation) -> Cause:
    """What it means for the caller: a playbook may help it live without the callee."""
    signature = f"{Category.DEPENDENCY_FAILURE.value}:{incident.pattern}"
    confidence = round(cause.confidence * OF_THE_CALLER, 3)
    return Cause(incident.component, Category.DEPENDENCY_FAILURE, confidence, signature, (root.words,))


def _merged(known: Cause | None, found: Cause, *, capped: bool = False) -> Cause:
    """One cause of two. `capped`: the evidence of `known` is already counted in `found`."""
    if known is None:
        return found
    confidence = found.confidence if capped else max(known.confidence, found.confidence)
    evidence = (*found.evidence, *(words for words in known.evidence if words not in found.evidence))
    return Cause(found.component, found.category, confidence, known.signature, evidence)


def _lifted(top: Cause, ranked: list[Cause]) -> Cause:
    """The cause of what this is a symptom of comes first: no description of the symptom may outrank it."""
    highest = max(cause.confidence for cause in ranked)
    return Cause(top.component, top.category, min(max(top.confidence, highest), CERTAIN), top.signature, top.evidence)


def _with_doubt(incident: IncidentSeen, causes: list[Cause]) -> tuple[Cause, ...]:
    """Adds what is left unknown: first when it is likelier than any cause, else last."""
    best = causes[0].confidence if causes else 0.0
    words = "the evidence leaves this much doubt" if causes else "there is no evidence"
    signature = f"{Category.UNKNOWN.value}:{incident.pattern}"
    doubt = Cause(incident.component, Category.UNKNOWN, round(1.0 - best, 3), signature, (words,))
    known = [cause for cause in causes if cause.category is not Category.UNKNOWN or cause.component != doubt.component]
    known = known[: MAX_CAUSES - 1]
    return (doubt, *known) if doubt.confidence > best else (*known, doubt)


def _ruled_out(incident: IncidentSeen, scene: Scene, roots: tuple[Explanation, ...], best: Cause) -> tuple[str, ...]:
    said = []
    if not changes_before(incident, scene.changes):
        said.append(f"no change of {incident.component} within {CHANGE_WINDOW_S / 60:.0f} min before")
    if seen_alive(incident, scene):
        said.append(f"{incident.component} has not crashed: its process is there")
    callees = scene.graph.callees(incident.component)
    troubled = {other.component: other for other in scene.incidents if other.component in callees}
    if callees and not troubled:
        said.append(f"nothing that {incident.component} calls has an open incident")
    explained = {root.incident.component for root in roots}
    for name, other in sorted(troubled.items()):
        later_s = (other.opened_at - incident.opened_at).total_seconds()
        if name not in explained and name != best.component and later_s > SLACK_S:
            said.append(f"{name} is in trouble too, but only since {later_s:.0f} s later")
        elif name not in explained and scene.nature(incident) in CONCLUSIVE:
            said.append(f"{name} is in trouble too, but does not make {incident.component} stop")
    return tuple(said[:10])
