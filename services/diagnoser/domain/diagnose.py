"""From a scene to a diagnosis: own causes, incidents that explain this one, and what is left unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from services.diagnoser.domain.categories import FixType, fix_type_of
from services.diagnoser.domain.changes import CHANGE_WINDOW_S, CLOCKS_DIFFER_S, Place, changes_before, suspects
from services.diagnoser.domain.context import error_ratio
from services.diagnoser.domain.deviating import causes_elsewhere
from services.diagnoser.domain.evidence import CERTAIN, Cause, noisy_or, rank
from services.diagnoser.domain.history import usual_fix_s
from services.diagnoser.domain.measured import bottleneck
from services.diagnoser.domain.next_observation import NextObservation, next_observation
from services.diagnoser.domain.own import Scene, seen_alive
from services.diagnoser.domain.patterns import CONCLUSIVE, Nature, words_of
from services.diagnoser.domain.report import Findings, write_report
from services.diagnoser.domain.signals import ChangeSeen, IncidentSeen
from services.diagnoser.domain.symptoms import SLACK_S, SYMPTOM_AT, Explainer, Explanation
from shared.packs import Category

__all__ = ["Diagnosis", "Scene", "diagnose"]

MAX_CAUSES = 8
DESCRIBES_ONLY = frozenset({Category.DEPENDENCY_FAILURE, Category.TIMEOUT})
"""Categories that say how a caller feels its callee's trouble: they never compete with the callee's own cause."""
OF_THE_CALLER = 0.98
"""Confidence that the caller's trouble is its dependency, given that the callee is the cause: a shade less."""
HELD_UP = frozenset({Nature.SLOW, Nature.SILENT, Nature.DATABASE, Nature.RESOURCE})
"""Natures of which something may be the bottleneck."""
MAX_CHANGES = 5


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
    next_observation: NextObservation | None = None
    """What to look at next, when the evidence is too thin to settle on a cause."""
    bottleneck: str = ""
    recent_changes: tuple[str, ...] = ()

    @property
    def best(self) -> Cause:
        return self.causes[0]


def diagnose(incident: IncidentSeen, scene: Scene, explainer: Explainer | None = None) -> Diagnosis:
    """Why `incident` is there. The same scene gives the same diagnosis."""
    explainer = explainer or Explainer(scene)
    own = explainer.own(incident)
    roots = explainer.roots(incident)
    causes, symptom_of = _combine(incident, own, roots, explainer)
    ranked = _with_doubt(incident, _calibrated(causes, scene, symptom=symptom_of is not None))
    best = ranked[0]
    callers = scene.graph.callers(best.component)
    affected = tuple(sorted(callers))
    fix_s, fix_cases = usual_fix_s(scene.judged, best.category, best.signature)
    findings = Findings(
        causes=ranked,
        symptom=symptom_of is not None,
        affected=affected,
        entries=tuple(name for name in affected if not scene.graph.callers(name)),
        error_share=error_ratio([incident, *scene.of(incident.component)]),
        ruled_out=_ruled_out(incident, scene, roots, best),
        changes=_recent_changes(incident, scene),
        bottleneck=_bottleneck(incident, scene),
        next_observation=None if symptom_of else _next_look(incident, scene, ranked),
        fix_s=fix_s,
        fix_cases=fix_cases,
    )
    return Diagnosis(
        incident_id=incident.id,
        component=incident.component,
        incident_revision=incident.revision,
        causes=ranked,
        symptom_of=symptom_of.incident.id if symptom_of else None,
        affected=affected,
        ruled_out=findings.ruled_out,
        report=write_report(incident, findings),
        fix_type=fix_type_of(best.category),
        estimated_fix_s=fix_s,
        next_observation=findings.next_observation,
        bottleneck=findings.bottleneck,
        recent_changes=findings.changes,
    )


def _calibrated(causes: list[Cause], scene: Scene, *, symptom: bool) -> list[Cause]:
    """Confidences as outcomes have taught; the raw ones are kept. What a symptom is of stays first."""
    told = [replace(c, raw=c.confidence, confidence=scene.calibrator(c.signature, c.confidence)) for c in causes]
    ranked = sorted(told, key=rank)
    return [_lifted(told[0], ranked), *(cause for cause in ranked if cause is not told[0])] if symptom else ranked


def _next_look(incident: IncidentSeen, scene: Scene, ranked: tuple[Cause, ...]) -> NextObservation | None:
    """Questions that the scene answers already, whichever way, are not asked again."""
    component = incident.component
    names = [other.pattern for other in (incident, *scene.of(component))]
    names += [fact.name for fact in incident.evidence if fact.component == component]
    names += [anomaly.metric for anomaly in scene.anomalies if anomaly.component == component]
    kinds = {change.kind for change in changes_before(incident, scene.changes)}
    answered = {
        "process-exited": scene.facts(component).process_watched,
        "config-changed": "config" in kinds,
        "deployed": "deployment" in kinds,
        "dependency-answers": any(scene.below(component)),
    }
    seen = frozenset[str]().union(*(words_of(name) for name in names))
    return next_observation(component, ranked, seen, [name for name, known in answered.items() if known])


def _bottleneck(incident: IncidentSeen, scene: Scene) -> str:
    if scene.nature(incident) not in HELD_UP:
        return ""
    callees = scene.graph.callees(incident.component)
    found = bottleneck(scene.anomalies, [incident.component, *sorted(callees, key=lambda name: (callees[name], name))])
    return found[1] if found else ""


def _recent_changes(incident: IncidentSeen, scene: Scene) -> tuple[str, ...]:
    """What was changed near the incident in space and time, repairs among it, the latest first."""
    near = {incident.component, *scene.graph.callees(incident.component)}
    near |= {name for name, depth in scene.graph.callers(incident.component).items() if depth == 1}
    kept = [
        change
        for change in scene.changes
        if change.component in near
        and -CLOCKS_DIFFER_S <= (incident.opened_at - change.at).total_seconds() <= CHANGE_WINDOW_S
    ]
    latest = sorted(kept, key=lambda change: (change.at, change.component, change.summary), reverse=True)[:MAX_CHANGES]
    return tuple(_change_words(incident, change) for change in latest)


def _change_words(incident: IncidentSeen, change: ChangeSeen) -> str:
    before_s = max(0.0, (incident.opened_at - change.at).total_seconds())
    return f"{change.kind} of {change.component} {before_s:.0f} s before: {change.summary}"[:200]


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
    felt_alike = DESCRIBES_ONLY | {cause.category for cause, _ in foreign[:1]}
    rival = max((c.confidence for c in own if c.category not in felt_alike), default=0.0)
    symptom_of = None
    causes = {(c.component, c.category): c for c in (*own, *causes_elsewhere(incident, explainer.scene))}
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
    for suspect in suspects(incident, explainer.scene.nature(incident), explainer.scene.changes, explainer.scene.graph):
        if suspect.place is not Place.OWN:
            key = (suspect.change.component, suspect.category)
            signature = f"{suspect.category.value}:{incident.pattern}"
            found = Cause(*key, round(suspect.weight, 3), signature, (suspect.words,))
            known = causes.get(key)
            causes[key] = _merged(found, known) if known else found
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
    return replace(top, confidence=min(max(top.confidence, highest), CERTAIN))


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
