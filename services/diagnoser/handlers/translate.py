"""Between the wire and the domain: the only place that knows both."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.diagnoser.domain import (
    AnomalySeen,
    ChangeSeen,
    ComponentFacts,
    Diagnosis,
    Fact,
    IncidentSeen,
    KnownProblem,
)
from shared.contracts import diagnoser as wire
from shared.contracts.detector import Anomaly, Incident
from shared.contracts.ingest import Change
from shared.packs import Category
from shared.packs.book import PackBook
from shared.packs.library import library


def incident(event: Incident) -> IncidentSeen:
    return IncidentSeen(
        id=event.case_id,
        component=event.component,
        revision=event.revision,
        pattern=event.pattern,
        severity=event.severity,
        summary=event.summary,
        opened_at=event.since or event.opened_at,
        error_count=event.error_count,
        flapping=event.flapping,
        evidence=tuple(Fact(o.name, o.observed, o.expected, o.unit, o.component) for o in event.evidence),
        labels=event.labels,
        resolved_at=event.resolved_at,
    )


def anomaly(event: Anomaly) -> AnomalySeen:
    series = event.metric + "".join(f",{name}={value}" for name, value in sorted(event.labels.items()))
    return AnomalySeen(
        event.component,
        series[:500],
        event.observed,
        event.expected_low,
        event.expected_high,
        event.score,
        event.since,
    )


def change(event: Change) -> ChangeSeen:
    return ChangeSeen(event.component, event.kind.value, event.summary, event.at, event.ref)


def event(diagnosis: Diagnosis, revision: int, event_id: UUID, at: datetime) -> wire.Diagnosis:
    return wire.Diagnosis(
        id=event_id,
        at=at,
        component=diagnosis.component,
        case_id=diagnosis.incident_id,
        revision=revision,
        incident_revision=diagnosis.incident_revision,
        causes=tuple(
            wire.Cause(
                component=cause.component,
                category=cause.category,
                confidence=cause.confidence,
                signature=cause.signature,
                evidence=cause.evidence,
                raw_confidence=cause.raw,
            )
            for cause in diagnosis.causes
        ),
        symptom_of=diagnosis.symptom_of,
        affected=diagnosis.affected,
        ruled_out=diagnosis.ruled_out,
        report=diagnosis.report,
        estimated_fix_s=diagnosis.estimated_fix_s,
        fix_type=diagnosis.fix_type.value if diagnosis.fix_type else None,
        next_observation=_next_observation(diagnosis),
        bottleneck=diagnosis.bottleneck,
        recent_changes=diagnosis.recent_changes,
    )


def _next_observation(diagnosis: Diagnosis) -> wire.NextObservation | None:
    found = diagnosis.next_observation
    if found is None:
        return None
    return wire.NextObservation(
        name=found.name,
        component=found.component,
        question=found.question,
        gain_bits=found.gain_bits,
        if_yes=found.if_yes,
        if_no=found.if_no,
    )


# ---- packs


def component(packs: PackBook, name: str) -> ComponentFacts:
    placed = packs.component(name)
    if placed is None:
        return ComponentFacts(name)
    watched = any(probe.component == name and probe.kind in {"process", "docker"} for probe in placed.pack.probes)
    return ComponentFacts(
        name=name,
        kind=placed.component.kind,
        criticality=placed.component.criticality.value,
        group=placed.component.group or "",
        attributes=placed.component.attributes,
        process_watched=watched,
    )


def known_problems(packs: PackBook) -> list[KnownProblem]:
    """All packs' signatures; `*` means every component of the signature's own pack."""
    found = []
    for applied in packs.packs.values():
        for signature in applied.pack.signatures:
            targets = applied.pack.components if signature.component == "*" else (signature.component,)
            found += [
                KnownProblem(signature.id, target, signature.when, signature.cause, signature.confidence)
                for target in targets
            ]
    return found


def log_categories(packs: PackBook) -> dict[str, Category]:
    """What packs and the library say of log patterns and of rules, by id."""
    told: dict[str, Category] = {}
    for applied in packs.packs.values():
        known = library().for_pack(applied.pack)
        told |= {each.id: each.category for each in (*known.log_patterns, *applied.pack.log_patterns)}
        told |= {rule.id: rule.cause for rule in (*known.rules, *applied.pack.rules) if rule.id}
    return {id_: category for id_, category in told.items() if category is not Category.UNKNOWN}
