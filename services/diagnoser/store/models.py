"""The tables: what was heard, what was told, and what became of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Float,
    Numeric,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.diagnoser.domain.history import Judged
from services.diagnoser.domain.revise import Told
from shared.db import service_base
from shared.packs import Category

Base = service_base()

OPEN_LIMIT = 500
"""Open incidents looked at together; beyond this many the oldest are the likely causes."""


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
