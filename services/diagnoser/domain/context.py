"""The variables that a pack's signature may use in its condition. Documented in the service's README."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.diagnoser.domain.signals import ChangeSeen, ComponentFacts, IncidentSeen

NEVER_S = 1e9
"""Age of a change that there never was."""
SHARE_UNIT = "errors/requests"


def signature_context(
    incident: IncidentSeen,
    siblings: Sequence[IncidentSeen],
    change: tuple[ChangeSeen, float] | None,
    component: ComponentFacts,
    *,
    callee: IncidentSeen | None,
    anomalies: Sequence[str],
    now: datetime,
) -> dict[str, object]:
    """`siblings`: open incidents of the same component, this one among them; `change`: the newest, with its age."""
    return {
        "incident": {
            "pattern": incident.pattern,
            "severity": incident.severity.value,
            "component": incident.component,
            "summary": incident.summary,
            "error_count": incident.error_count,
            "flapping": incident.flapping,
            "age_s": max(0.0, (now - incident.opened_at).total_seconds()),
            "labels": dict(incident.labels),
        },
        "patterns": sorted({incident.pattern, *(other.pattern for other in siblings)}),
        "change": {
            "kind": change[0].kind if change else "",
            "summary": change[0].summary if change else "",
            "ref": change[0].ref if change else "",
            "age_s": change[1] if change else NEVER_S,
        },
        "errors": {"ratio": error_ratio([incident, *siblings]), "count": incident.error_count},
        "log": _logs([incident, *siblings]),
        "component": {
            "name": component.name,
            "kind": component.kind,
            "criticality": component.criticality,
            "group": component.group,
            "attributes": dict(component.attributes),
        },
        "callee": {
            "troubled": callee is not None,
            "component": callee.component if callee else "",
            "pattern": callee.pattern if callee else "",
        },
        "anomalies": sorted(set(anomalies)),
    }


def error_ratio(incidents: Sequence[IncidentSeen]) -> float:
    """The highest share of failed requests in evidence, 0 when none is."""
    shares = [
        float(fact.observed)
        for incident in incidents
        for fact in incident.evidence
        if fact.unit == SHARE_UNIT and fact.component == incident.component and isinstance(fact.observed, int | float)
    ]
    return max(shares, default=0.0)


def _logs(incidents: Sequence[IncidentSeen]) -> dict[str, object]:
    """Kinds of error lines in evidence; `count`: lines of the most frequent kind (`5 in 30 s: …` says five)."""
    lines: dict[str, int] = {}
    for incident in incidents:
        for fact in incident.evidence:
            if fact.name.startswith("log:"):
                said = str(fact.observed).split(" ", 1)[0]
                lines[fact.name.removeprefix("log:")] = int(said) if said.isdigit() else 1
    return {"kinds": sorted(lines), "count": max(lines.values(), default=0)}
