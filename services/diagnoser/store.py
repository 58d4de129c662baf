"""The diagnoser's tables: what it has heard, when to look again, and what it has told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Numeric,
    Select,
    String,
    Text,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.diagnoser.domain import AnomalySeen, ChangeSeen
from services.diagnoser.domain.history import Judged
from services.diagnoser.domain.ranking import Deviation, Kind, Seen
from services.diagnoser.domain.ranking.watch import Told as TelemetryTold
from services.diagnoser.domain.revise import Told
from services.diagnoser.domain.topology import Observed
from shared.contracts.detector import Incident
from shared.db import service_base
from shared.packs import Category

Base = service_base()

OPEN_LIMIT = 500
"""Open incidents looked at together; beyond this many the oldest are the likely causes."""
JUDGED_LIMIT = 5_000
"""Newest judgements that are learned from."""
CALLS_LIMIT = 10_000
"""Observed calls that the graph is made of."""


class IncidentRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "incidents"

    incident_id: Mapped[UUID] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(String(64), index=True)
    revision: Mapped[int]
    opening: Mapped[int]
    """How many times it has opened: a diagnosis belongs to one opening."""
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When to look at it next; nothing once it is resolved."""
    seen_at: Mapped[datetime] = mapped_column(index=True)


class DiagnosisRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "diagnoses"

    incident_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    incident_revision: Mapped[int]
    opening: Mapped[int]
    component: Mapped[str] = mapped_column(String(64))
    category: Mapped[str] = mapped_column(String(32))
    signature: Mapped[str] = mapped_column(Text)
    confidence: Mapped[Decimal] = mapped_column(Numeric(4, 3))
    symptom_of: Mapped[UUID | None] = mapped_column(index=True)
    pattern: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    root_cause: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(index=True)

    def told(self) -> Told:
        return Told(
            self.component,
            self.category,
            self.signature,
            float(self.confidence),
            self.symptom_of,
            self.pattern,
            self.severity,
            self.opening,
        )


class ChangeRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "changes"

    change_id: Mapped[UUID] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    summary: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(index=True)


class AnomalyRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "anomalies"

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    observed: Mapped[float] = mapped_column(Float)
    expected_low: Mapped[float] = mapped_column(Float)
    expected_high: Mapped[float] = mapped_column(Float)
    score: Mapped[float] = mapped_column(Float)
    since: Mapped[datetime]
    at: Mapped[datetime] = mapped_column(index=True)


class JudgementRow(Base):  # type: ignore[misc, valid-type]
    """One repair that told whether the cause which it was for was right."""

    __tablename__ = "judgements"

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(String(64))
    """Where the incident was seen."""
    pattern: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(String(32))
    signature: Mapped[str] = mapped_column(Text)
    raw: Mapped[float] = mapped_column(Float)
    told: Mapped[float] = mapped_column(Float)
    correct: Mapped[bool]
    fix_s: Mapped[float | None] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(index=True)

    def judged(self) -> Judged:
        return Judged(
            self.component,
            self.pattern,
            Category(self.category),
            self.signature,
            self.raw,
            self.told,
            self.correct,
            self.fix_s,
        )


class LabelRow(Base):  # type: ignore[misc, valid-type]
    """What somebody who saw it last said of a case, kept because it may come before the outcome."""

    __tablename__ = "external_labels"

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    success: Mapped[bool]
    at: Mapped[datetime] = mapped_column(index=True)


class TelemetryRow(Base):  # type: ignore[misc, valid-type]
    """What the series of one component say."""

    __tablename__ = "telemetry"

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    noticed_at: Mapped[datetime | None]
    """Since when they were worth a look, the last time that they were."""
    deviations: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    usual: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(index=True)


class CallsRow(Base):  # type: ignore[misc, valid-type]
    """Calls that traces show, for as long as they do."""

    __tablename__ = "observed_calls"

    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    callee: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    duration_sum_ms: Mapped[float] = mapped_column(Float)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class CallsSeen:
    """Calls from one component to another that were just told of."""

    caller: str
    callee: str
    count: int
    errors: int
    duration_sum_ms: float
    at: datetime


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open incident as the detector told it, and which of its openings this is."""

    incident: Incident
    opening: int


async def take_incident(session: AsyncSession, event: Incident, now: datetime) -> bool:
    """Keeps the newest revision; False when this one is old news. The row stays locked until the unit ends."""
    await session.execute(
        insert(IncidentRow)
        .values(
            incident_id=event.case_id,
            component=event.component,
            revision=0,
            opening=0,
            opened_at=event.opened_at,
            resolved_at=event.opened_at,
            body={},
            seen_at=now,
        )
        .on_conflict_do_nothing()
    )
    row = (
        await session.execute(select(IncidentRow).where(IncidentRow.incident_id == event.case_id).with_for_update())
    ).scalar_one()
    if event.revision <= row.revision:
        return False
    if event.is_open and row.resolved_at is not None:
        row.opening += 1
    row.revision, row.component = event.revision, event.component
    row.opened_at, row.resolved_at = event.opened_at, event.resolved_at
    row.body, row.seen_at = event.model_dump(mode="json"), now
    if not event.is_open:
        row.due_at = None
    return True


async def look_again(session: AsyncSession, components: Collection[str], at: datetime, *, but: UUID | None) -> int:
    """Open incidents of these components are looked at by `at`, if not sooner; returns how many there are."""
    if not components:
        return 0
    # A row that is locked is being diagnosed now, and looked at again within the review interval anyway.
    rows = (
        select(IncidentRow.incident_id)
        .where(
            IncidentRow.component.in_(components),
            IncidentRow.resolved_at.is_(None),
            or_(IncidentRow.due_at.is_(None), IncidentRow.due_at > at),
        )
        .with_for_update(skip_locked=True)
    )
    if but is not None:
        rows = rows.where(IncidentRow.incident_id != but)
    return await _update_due(session, rows, at)


async def look_at_all(session: AsyncSession, at: datetime) -> int:
    """Every open incident is looked at by `at`; returns how many there are."""
    rows = select(IncidentRow.incident_id).where(IncidentRow.resolved_at.is_(None)).with_for_update(skip_locked=True)
    return await _update_due(session, rows, at)


async def _update_due(session: AsyncSession, rows: Select[UUID], at: datetime) -> int:
    ids = (await session.execute(rows)).scalars().all()
    if ids:
        await session.execute(update(IncidentRow).where(IncidentRow.incident_id.in_(ids)).values(due_at=at))
    return len(ids)


async def set_due(session: AsyncSession, incident_id: UUID, at: datetime) -> None:
    await session.execute(update(IncidentRow).where(IncidentRow.incident_id == incident_id).values(due_at=at))


async def sooner(session: AsyncSession, incident_id: UUID, at: datetime) -> None:
    """Look at it by `at`, if it isn't to be looked at sooner."""
    await session.execute(
        update(IncidentRow)
        .where(IncidentRow.incident_id == incident_id, or_(IncidentRow.due_at.is_(None), IncidentRow.due_at > at))
        .values(due_at=at)
    )


async def due(session: AsyncSession, now: datetime, limit: int) -> list[OpenIncident]:
    """Open incidents to look at now, the longest due first, locked until the unit ends."""
    rows = await session.execute(
        select(IncidentRow)
        .where(IncidentRow.due_at <= now, IncidentRow.resolved_at.is_(None))
        .order_by(IncidentRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_open(row) for row in rows.scalars()]


async def one_open(session: AsyncSession, incident_id: UUID) -> OpenIncident | None:
    row = await session.get(IncidentRow, incident_id, populate_existing=True)
    return _open(row) if row is not None and row.resolved_at is None else None


async def open_incidents(
    session: AsyncSession, components: Collection[str], resolved_after: datetime
) -> list[Incident]:
    """Incidents of these components that are open, or were until a moment ago; the oldest first."""
    rows = await session.execute(
        select(IncidentRow.body)
        .where(
            IncidentRow.component.in_(components),
            or_(IncidentRow.resolved_at.is_(None), IncidentRow.resolved_at > resolved_after),
        )
        .order_by(IncidentRow.opened_at, IncidentRow.incident_id)
        .limit(OPEN_LIMIT)
    )
    return [Incident.model_validate(body) for body in rows.scalars()]


def _open(row: IncidentRow) -> OpenIncident:
    return OpenIncident(Incident.model_validate(row.body), row.opening)


# ---- what was told


async def last_told(session: AsyncSession, incident_id: UUID) -> DiagnosisRow | None:
    rows = await session.execute(
        select(DiagnosisRow)
        .where(DiagnosisRow.incident_id == incident_id)
        .order_by(DiagnosisRow.revision.desc())
        .limit(1)
    )
    return rows.scalar_one_or_none()


async def told_before(session: AsyncSession, incident_id: UUID, at: datetime) -> DiagnosisRow | None:
    """The diagnosis that was in force when a repair began; the first one if clocks disagree."""
    rows = await session.execute(
        select(DiagnosisRow)
        .where(DiagnosisRow.incident_id == incident_id)
        .order_by((DiagnosisRow.created_at <= at).desc(), func.abs(func.extract("epoch", DiagnosisRow.created_at - at)))
        .limit(1)
    )
    return rows.scalar_one_or_none()


def add_diagnosis(session: AsyncSession, row: DiagnosisRow) -> None:
    session.add(row)


# ---- changes and anomalies


async def add_change(session: AsyncSession, change_id: UUID, change: ChangeSeen) -> None:
    await session.execute(
        insert(ChangeRow)
        .values(
            change_id=change_id,
            component=change.component,
            kind=change.kind,
            summary=change.summary,
            ref=change.ref,
            at=change.at,
        )
        .on_conflict_do_nothing()
    )


async def changes_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[ChangeSeen]:
    rows = await session.execute(
        select(ChangeRow)
        .where(ChangeRow.component.in_(components), ChangeRow.at >= since)
        .order_by(ChangeRow.at.desc())
        .limit(OPEN_LIMIT)
    )
    return [ChangeSeen(row.component, row.kind, row.summary, row.at, row.ref) for row in rows.scalars()]


async def take_anomaly(session: AsyncSession, anomaly: AnomalySeen, at: datetime) -> None:
    """Keeps the newest of each series."""
    values = {
        "observed": anomaly.observed,
        "expected_low": anomaly.expected_low,
        "expected_high": anomaly.expected_high,
        "score": anomaly.score,
        "since": anomaly.since,
        "at": at,
    }
    statement = insert(AnomalyRow).values(component=anomaly.component, metric=anomaly.metric, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["component", "metric"], set_=values, where=AnomalyRow.at <= statement.excluded.at
        )
    )


async def anomalies_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[AnomalySeen]:
    rows = await session.execute(
        select(AnomalyRow)
        .where(AnomalyRow.component.in_(components), AnomalyRow.at >= since)
        .order_by(AnomalyRow.component, AnomalyRow.metric)
        .limit(OPEN_LIMIT)
    )
    return [
        AnomalySeen(r.component, r.metric, r.observed, r.expected_low, r.expected_high, r.score, r.since)
        for r in rows.scalars()
    ]


# ---- what diagnoses turned out to be worth


async def hold_case(session: AsyncSession, case_id: UUID) -> None:
    """Until the unit of work ends nobody else judges this case or keeps a word on it."""
    await session.execute(select(func.pg_advisory_xact_lock(case_id.int & 0x7FFF_FFFF_FFFF_FFFF)))


async def add_judgement(session: AsyncSession, columns: dict[str, object]) -> bool:
    """False when this repair had been judged before."""
    statement = insert(JudgementRow).values(**columns).on_conflict_do_nothing().returning(JudgementRow.decision_id)
    return (await session.execute(statement)).first() is not None


async def keep_label(session: AsyncSession, case_id: UUID, success: bool, at: datetime) -> None:
    first = insert(LabelRow).values(case_id=case_id, success=success, at=at)
    await session.execute(
        first.on_conflict_do_update(
            index_elements=["case_id"], set_={"success": success, "at": at}, where=LabelRow.at <= at
        )
    )


async def label_since(session: AsyncSession, case_id: UUID, since: datetime) -> bool | None:
    """What was last said of a case after its repair."""
    return await session.scalar(select(LabelRow.success).where(LabelRow.case_id == case_id, LabelRow.at >= since))


async def refute(session: AsyncSession, case_id: UUID, before: datetime) -> bool:
    """The last repair of the case did not help after all; False when there is none that is said to have."""
    last = select(JudgementRow.decision_id).where(JudgementRow.case_id == case_id, JudgementRow.at <= before)
    decision_id = await session.scalar(last.order_by(JudgementRow.at.desc()).limit(1))
    if decision_id is None:
        return False
    statement = (
        update(JudgementRow)
        .where(JudgementRow.decision_id == decision_id, JudgementRow.correct)
        .values(correct=False, fix_s=None)
        .returning(JudgementRow.decision_id)
    )
    return (await session.execute(statement)).first() is not None


async def judgements(session: AsyncSession, since: datetime, most: int = JUDGED_LIMIT) -> list[JudgementRow]:
    """The newest judgements since a time."""
    rows = await session.scalars(
        select(JudgementRow).where(JudgementRow.at >= since).order_by(JudgementRow.at.desc()).limit(most)
    )
    return list(rows)


async def prune_experience(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(JudgementRow).where(JudgementRow.at < before))
    await session.execute(delete(LabelRow).where(LabelRow.at < before))


# ---- telemetry


async def save_telemetry(session: AsyncSession, told: TelemetryTold) -> bool:
    """Keeps the newest of a component; True when a trouble is new. What is usual again leaves the last trouble there:
    an incident that is still open began with it."""
    usual = {"levels": dict(told.seen.levels), "kinds": sorted(told.seen.kinds)}
    values: dict[str, Any] = {"usual": usual, "at": datetime.fromtimestamp(told.at_s, UTC)}
    if told.noticed_s is not None:
        values["noticed_at"] = datetime.fromtimestamp(told.noticed_s, UTC)
        values["deviations"] = [asdict(one) for one in told.seen.deviations]
    known = await session.get(TelemetryRow, told.seen.component, populate_existing=True)
    first = {"noticed_at": None, "deviations": []} | values
    statement = insert(TelemetryRow).values(component=told.seen.component, **first)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["component"], set_=values, where=TelemetryRow.at <= statement.excluded.at
        )
    )
    before = known.noticed_at if known is not None and known.deviations else None
    return bool(told.seen.deviations) and before != values.get("noticed_at")


async def telemetry_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[Seen]:
    rows = await session.execute(
        select(TelemetryRow)
        .where(TelemetryRow.component.in_(components), TelemetryRow.at >= since)
        .order_by(TelemetryRow.component)
        .limit(OPEN_LIMIT)
    )
    return [_seen(row) for row in rows.scalars()]


def _seen(row: TelemetryRow) -> Seen:
    found = tuple(Deviation(**{**one, "kind": Kind(one["kind"])}) for one in row.deviations)
    return Seen(row.component, found, row.usual["levels"], frozenset(map(Kind, row.usual["kinds"])))


# ---- observed calls


async def take_calls(session: AsyncSession, calls: CallsSeen, since: datetime) -> int:
    """Adds them up and returns how many there are now; calls not seen after `since` begin anew."""
    new = insert(CallsRow).values(
        caller=calls.caller,
        callee=calls.callee,
        count=calls.count,
        errors=calls.errors,
        duration_sum_ms=calls.duration_sum_ms,
        first_seen=calls.at,
        last_seen=calls.at,
    )
    still = CallsRow.last_seen >= since
    sums = {
        name: case((still, getattr(CallsRow, name) + new.excluded[name]), else_=new.excluded[name])
        for name in ("count", "errors", "duration_sum_ms")
    }
    statement = new.on_conflict_do_update(
        index_elements=["caller", "callee"],
        set_={
            **sums,
            "first_seen": case((still, CallsRow.first_seen), else_=new.excluded.first_seen),
            "last_seen": func.greatest(CallsRow.last_seen, new.excluded.last_seen),
        },
    ).returning(CallsRow.count)
    return (await session.execute(statement)).scalar_one()


async def observed_calls(session: AsyncSession, since: datetime, min_count: int) -> list[Observed]:
    """Those seen since then and often enough, the latest if there are too many."""
    rows = await session.execute(
        select(CallsRow.caller, CallsRow.callee, CallsRow.count, CallsRow.last_seen)
        .where(CallsRow.last_seen >= since, CallsRow.count >= min_count)
        .order_by(CallsRow.last_seen.desc(), CallsRow.caller, CallsRow.callee)
        .limit(CALLS_LIMIT)
    )
    return [Observed(*row) for row in rows]


async def prune_calls(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(CallsRow).where(CallsRow.last_seen < before))


async def prune(session: AsyncSession, now: datetime, keep: timedelta) -> None:
    """Forgets what is older than `keep`; open incidents stay."""
    limit = now - keep
    await session.execute(delete(IncidentRow).where(IncidentRow.resolved_at.is_not(None), IncidentRow.seen_at < limit))
    await session.execute(delete(DiagnosisRow).where(DiagnosisRow.created_at < limit, ~_is_open(DiagnosisRow)))
    await session.execute(delete(ChangeRow).where(ChangeRow.at < limit))
    await session.execute(delete(AnomalyRow).where(AnomalyRow.at < limit))
    await session.execute(delete(TelemetryRow).where(TelemetryRow.at < limit))


def _is_open(diagnosis: type[DiagnosisRow]) -> ColumnElement[bool]:
    return exists().where(IncidentRow.incident_id == diagnosis.incident_id, IncidentRow.resolved_at.is_(None))
