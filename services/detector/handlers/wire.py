"""Between the domain's words and the wire's. Event ids follow from what is told, so telling again is harmless."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

from services.detector.domain import silences
from services.detector.domain.signals import (
    AnomalyFound,
    CheckSeen,
    ExternalSeen,
    Fact,
    HealthChanged,
    IncidentRevised,
    PatternsSeen,
    Result,
    Severity,
)
from services.detector.domain.templates.categories import ADVICE, UNKNOWN
from services.detector.domain.worth import Worth
from services.detector.store import Json, LogPatternRow
from shared.contracts import base, detector
from shared.contracts.gateway import Silence as SilenceEvent
from shared.contracts.ingest import Check, ExternalIncident
from shared.contracts.learner import AlarmRecord

_ANOMALIES = UUID("0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c01")
_HEALTH = UUID("0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c02")


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def check_seen(event: Check, now: float) -> CheckSeen:
    return CheckSeen(
        component=event.component,
        probe=event.probe,
        kind=event.kind.value,
        result=Result(event.result.value),
        at=min(event.at.timestamp(), now),
        latency_ms=event.latency_ms,
        detail=event.detail,
    )


def external_seen(event: ExternalIncident, now: float) -> ExternalSeen:
    return ExternalSeen(
        component=event.component,
        source=event.source,
        external_id=event.external_id,
        firing=event.status == "firing",
        severity=Severity(event.severity.value),
        pattern=event.pattern,
        summary=event.summary,
        at=min(event.at.timestamp(), now),
        labels=event.labels,
        lasts_s=max(0.0, event.expires_at.timestamp() - now) if event.expires_at else None,
    )


def silence(event: SilenceEvent) -> silences.Silence:
    return silences.Silence(
        event.silence_id[:8],
        event.starts_at.timestamp(),
        event.ends_at.timestamp(),
        event.component,
        event.pattern,
        tuple(sorted(event.labels.items())),
        event.reason,
    )


def incident(revised: IncidentRevised, worth: Worth | None = None) -> detector.Incident:
    return detector.Incident(
        id=uuid5(revised.incident_id, str(revised.revision)),
        at=instant(revised.at),
        component=revised.component,
        case_id=revised.incident_id,
        revision=revised.revision,
        transition=detector.Transition(revised.transition.value),
        fingerprint=revised.fingerprint,
        pattern=revised.pattern,
        method=detector.DetectionMethod(revised.method.value),
        severity=base.Severity(revised.severity.value),
        summary=revised.summary,
        opened_at=instant(revised.opened_at),
        last_seen_at=instant(revised.last_seen_at),
        resolved_at=None if revised.resolved_at is None else instant(revised.resolved_at),
        occurrences=revised.occurrences,
        error_count=revised.error_count,
        flapping=revised.flapping,
        clearing_since=None if revised.clearing_since is None else instant(revised.clearing_since),
        evidence=tuple(_observation(fact) for fact in revised.evidence),
        labels=dict(revised.labels),
        since=None if revised.since is None else instant(revised.since),
        priority=revised.priority,
        seen_before=revised.seen_before,
        last_time=None if revised.last_time is None else instant(revised.last_time),
        silenced=revised.silenced,
        alarm_precision=worth.share if worth is not None else None,
    )


def worth(record: AlarmRecord) -> Worth:
    return Worth(record.true_alarms + record.false_alarms, record.precision or 0.0, record.precision_high)


def anomaly(found: AnomalyFound) -> detector.Anomaly:
    labels = dict(sorted(found.labels.items()))
    return detector.Anomaly(
        id=uuid5(_ANOMALIES, f"{found.component}|{found.metric}|{labels}|{found.at!r}"),
        at=instant(found.at),
        component=found.component,
        metric=found.metric,
        labels=labels,
        observed=found.observed,
        expected_low=found.low,
        expected_high=found.high,
        score=found.score,
        since=instant(found.since),
        seen_before=found.seen_before,
    )


def health(changed: HealthChanged) -> detector.Health:
    told = f"{changed.component}|{changed.at!r}|{changed.status}|{changed.error_count}|{changed.open_incidents}"
    told += f"|{dict(changed.budgets)}" if changed.budgets else ""
    return detector.Health(
        id=uuid5(_HEALTH, told),
        at=instant(changed.at),
        component=changed.component,
        status=detector.HealthStatus(changed.status.value),
        since=instant(changed.since),
        error_count=changed.error_count,
        open_incidents=changed.open_incidents,
        error_budgets=dict(changed.budgets),
    )


def _observation(fact: Fact) -> detector.Observation:
    return detector.Observation(
        name=fact.name,
        observed=fact.observed,
        expected=fact.expected,
        unit=fact.unit,
        at=instant(fact.at),
        component=fact.component,
    )


def incident_row(revised: IncidentRevised, now: datetime) -> dict[str, object]:
    event = incident(revised)
    return {
        "id": revised.incident_id,
        "revision": revised.revision,
        "transition": revised.transition.value,
        "component": revised.component,
        "fingerprint": revised.fingerprint,
        "incident_type": revised.pattern,
        "detection_method": revised.method.value,
        "severity": revised.severity.value,
        "status": "open" if revised.resolved_at is None else "resolved",
        "summary": revised.summary,
        "opened_at": event.opened_at,
        "last_seen_at": event.last_seen_at,
        "resolved_at": event.resolved_at,
        "occurrences": revised.occurrences,
        "error_count": revised.error_count,
        "flapping": revised.flapping,
        "evidence": [observation.model_dump(mode="json") for observation in event.evidence],
        "labels": dict(revised.labels),
        "priority": revised.priority,
        "seen_before": revised.seen_before,
        "silenced": revised.silenced,
        "updated_at": now,
    }


def health_row(changed: HealthChanged) -> dict[str, object]:
    return {
        "component": changed.component,
        "status": changed.status.value,
        "since": instant(changed.since),
        "error_count": changed.error_count,
        "open_incidents": list(changed.open_incidents),
        "told_at": instant(changed.at),
    }


def log_pattern_rows(seen: PatternsSeen) -> list[dict[str, object]]:
    return [
        {
            "component": seen.component,
            "template": each.id,
            "words": _storable(each.words),
            "lines": each.count,
            "errors": each.errors,
            "per_minute": each.per_minute,
            "first_seen_at": instant(each.first_at),
            "last_seen_at": instant(each.last_at),
            "category": each.category,
            "severity": None if each.severity is None else each.severity.value,
            "example": _storable(each.example),
            "before": [_storable(line) for line in each.before],
            "after": [_storable(line) for line in each.after],
        }
        for each in seen.patterns
    ]


def _storable(text: str) -> str:
    """PostgreSQL holds neither NUL nor half of a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def log_pattern(row: LogPatternRow) -> detector.LogPattern:
    return detector.LogPattern(
        component=row.component,
        template=row.words,
        lines=row.lines,
        errors=row.errors,
        per_minute=row.per_minute,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        category=row.category,
        severity=None if row.severity is None else base.Severity(row.severity),
        advice=ADVICE.get(row.category, ADVICE[UNKNOWN]) if row.errors else "",
        example=row.example,
        before=_texts(row.before),
        after=_texts(row.after),
    )


def _texts(kept: Json) -> tuple[str, ...]:
    return tuple(str(line) for line in kept) if isinstance(kept, list) else ()
