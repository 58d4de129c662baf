"""Alerts as Prometheus and Alertmanager send them, as incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.gateway.domain.ingest.errors import MalformedError, TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule, slug, without_replica
from services.gateway.domain.ingest.plain_json import read_json

SOURCE = "alertmanager"
"""Of both doors: an alert that comes directly as well as through Alertmanager is one incident."""
MAX_ALERTS = 10_000
MAX_LABELS = 64
MAX_CHARS = 4_096
SUMMARY_CHARS = 1_024
PATTERN_CHARS = 100
RESOLVE_AFTER = timedelta(minutes=5)
"""Alertmanager's `resolve_timeout`: how long an alert without an end is taken to last."""
CRITICAL = frozenset({"critical", "crit", "page", "emergency", "fatal", "disaster", "error", "high", "p1", "sev1"})
NO_INCIDENT = "none"
"""Severity of alerts that are about alerting itself, such as the Watchdog that always fires."""
_SAYING = ("summary", "description", "message", "title")
_ZERO_YEAR = 1
_NAMESPACE = UUID("2b7e8f6c-3a52-5c1c-9d0e-6f1e5a0c7d21")
_FNV_OFFSET, _FNV_PRIME = 14_695_981_039_346_656_037, 1_099_511_628_211

Text = Annotated[str, Field(max_length=MAX_CHARS)]
Labels = Annotated[dict[Text, Text], Field(max_length=MAX_LABELS)]


class Alert(BaseModel):
    """One alert, of both protocols. Fields that are not known are none of our business."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    labels: Annotated[Labels, Field(min_length=1)]
    annotations: Labels = {}
    status: str = ""
    """Only Alertmanager says it; Prometheus says it by `endsAt`."""
    startsAt: AwareDatetime | None = None  # noqa: N815 - the protocol's name
    endsAt: AwareDatetime | None = None  # noqa: N815 - the protocol's name


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """An alert in Homeostat's words."""

    id: UUID
    at: datetime
    component: str
    external_id: str
    firing: bool
    critical: bool
    pattern: str
    summary: str
    labels: Mapping[str, str]
    expires_at: datetime | None = None
    """Prometheus repeats what fires and says until when it holds; Alertmanager tells of every end."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What came of a request: incidents, what is wrong with the rest, and how many are no incidents."""

    incidents: Sequence[IncidentSeen]
    problems: Sequence[str]
    passed_over: int


class _Webhook(BaseModel):
    """Alertmanager's webhook, version 4, as far as it is used: what it says of its group is in each alert again."""

    model_config = ConfigDict(extra="ignore")

    version: str
    alerts: list[object]


_LIST = TypeAdapter(list[object])


def read_webhook(body: bytes) -> list[object]:
    """The alerts of an Alertmanager webhook.

    Raises:
        MalformedError, TooLargeError
    """
    try:
        webhook = _Webhook.model_validate(read_json(body))
    except ValidationError as error:
        remedy = "point Alertmanager's `webhook_configs` here"
        raise MalformedError(f"the body is no Alertmanager webhook: {_explain(error)}", remedy) from None
    if webhook.version != "4":
        remedy = "send version 4, as Alertmanager does since 0.6"
        raise MalformedError(f"webhook version {webhook.version[:20]!r} is not known", remedy)
    return _bounded(webhook.alerts)


def read_alerts(body: bytes) -> list[object]:
    """The alerts of a request to Alertmanager's API v2.

    Raises:
        MalformedError, TooLargeError
    """
    try:
        return _bounded(_LIST.validate_python(read_json(body)))
    except ValidationError as error:
        raise MalformedError(f"the body is no list of alerts: {_explain(error)}", "send a JSON array") from None


def _bounded(alerts: list[object]) -> list[object]:
    if len(alerts) > MAX_ALERTS:
        raise TooLargeError(f"{len(alerts)} alerts at once; at most {MAX_ALERTS} are taken", "send less at once")
    return alerts


def incidents(alerts: Sequence[object], rule: ComponentRule, now: datetime) -> Alerts:
    """Each alert as an incident. One that can't be used takes no other with it."""
    seen: list[IncidentSeen] = []
    problems: list[str] = []
    passed_over = 0
    for place, raw in enumerate(alerts):
        try:
            alert = Alert.model_validate(raw)
            labels = without_replica(alert.labels)
            if not labels:
                problems.append(f"alerts.{place}: has no labels")
            elif labels.get("severity", "").strip().lower() == NO_INCIDENT:
                passed_over += 1
            else:
                seen.append(_incident(alert, labels, rule, now))
        except ValidationError as error:
            problems.append(f"alerts.{place}: {_explain(error)}")
        except OverflowError:
            problems.append(f"alerts.{place}: its times are beyond all calendars")
    return Alerts(seen, problems, passed_over)


def _incident(alert: Alert, labels: Mapping[str, str], rule: ComponentRule, now: datetime) -> IncidentSeen:
    starts_at = _given(alert.startsAt) or now
    ends_at = _given(alert.endsAt)
    if alert.status:
        firing = alert.status != "resolved"
    else:
        ends_at = ends_at or now + RESOLVE_AFTER
        firing = ends_at > now
    external_id = fingerprint(labels)
    name = labels.get("alertname", "").strip()
    told = f"{external_id}|{firing}|{starts_at.isoformat()}|{ends_at.isoformat() if ends_at else ''}"
    return IncidentSeen(
        id=uuid5(_NAMESPACE, told),
        at=starts_at if firing else ends_at or now,
        component=rule.component_of(labels),
        external_id=external_id,
        firing=firing,
        critical=labels.get("severity", "").strip().lower() in CRITICAL,
        pattern=slug(name, PATTERN_CHARS) if name else "alert",
        summary=_summary(alert.annotations, name or "an alert without a name"),
        labels=labels,
        expires_at=ends_at if firing and not alert.status else None,
    )


def _given(at: datetime | None) -> datetime | None:
    """Go's zero time stands for none."""
    return None if at is None or at.year == _ZERO_YEAR else at.astimezone(UTC)


def _summary(annotations: Mapping[str, str], otherwise: str) -> str:
    said = next((text for key in _SAYING if (text := annotations.get(key, "").strip())), otherwise)
    return said if len(said) <= SUMMARY_CHARS else said[: SUMMARY_CHARS - 1] + "…"


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's own fingerprint of a set of labels (64-bit FNV-1a), to find the alert there again.

    >>> fingerprint({})
    'cbf29ce484222325'
    """
    digest = _FNV_OFFSET
    for name in sorted(labels, key=str.encode):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
    return f"{digest:016x}"


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step)[:60] for step in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
