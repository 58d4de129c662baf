"""The learner's tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, Identity, Index, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.learner.domain.knowledge import Tally
from shared.db import service_base

Base = service_base()


class OutcomeRow(Base):  # type: ignore[misc, valid-type]
    """One run, recorded once. `attempted` is false for dry runs and for what was skipped."""

    __tablename__ = "outcomes"
    __table_args__ = (Index("ix_outcomes_pair", "issue_type", "fix_type"),)

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    case_kind: Mapped[str] = mapped_column(String(16))
    timestamp: Mapped[datetime] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(String(64))
    issue_type: Mapped[str] = mapped_column(Text)
    fix_type: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(String(32))
    original_confidence: Mapped[float] = mapped_column(Float)
    result_status: Mapped[str] = mapped_column(String(16))
    validation_status: Mapped[str] = mapped_column(String(16))
    success: Mapped[bool]
    attempted: Mapped[bool]
    dry_run: Mapped[bool]
    error_count_after: Mapped[int]
    recovery_s: Mapped[float | None] = mapped_column(Float)
    kind: Mapped[str] = mapped_column(String(50), server_default="")
    """Of the component; empty: not known."""
    label: Mapped[bool | None]
    """What somebody who saw it says; counts before the validation."""


class DecisionRow(Base):  # type: ignore[misc, valid-type]
    """A decision at its newest revision, with whether a person was asked and what they said."""

    __tablename__ = "decisions"

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    revision: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(16))
    playbook: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float] = mapped_column(Float)
    decided_by: Mapped[str] = mapped_column(String(200))
    asked: Mapped[bool]
    answer: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(index=True)
    pack: Mapped[str] = mapped_column(String(64), server_default="")
    case_kind: Mapped[str] = mapped_column(String(16), server_default="")
    threshold: Mapped[float | None] = mapped_column(Float)
    gated: Mapped[bool] = mapped_column(server_default="false")
    """Nothing but the threshold kept it from acting alone, or let it act."""
    first_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]


class LabelRow(Base):  # type: ignore[misc, valid-type]
    """The newest word from outside on a case, kept because it may come before the outcome."""

    __tablename__ = "external_labels"

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    success: Mapped[bool]
    comment: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(index=True)


class OverrideRow(Base):  # type: ignore[misc, valid-type]
    """A person's newest word against a decision that could not be turned any more; it may be heard of before the
    decision, or before its outcome."""

    __tablename__ = "overrides"

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    refused: Mapped[bool]
    """They did not want what was decided; otherwise they wanted it done."""
    helped: Mapped[bool | None]
    """What they say of the run that there was; null: there was none."""
    by: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(index=True)


class FeedbackRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "learning_feedback"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    decision_id: Mapped[UUID] = mapped_column(index=True)
    outcome_quality: Mapped[Decimal] = mapped_column(Numeric(3, 2))
    feedback_type: Mapped[str] = mapped_column(String(50))
    lessons_learned: Mapped[str] = mapped_column(Text)
    model_adjustments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(index=True)


class KnowledgeRow(Base):  # type: ignore[misc, valid-type]
    """What was last published of a pair."""

    __tablename__ = "knowledge"

    signature: Mapped[str] = mapped_column(Text, primary_key=True)
    playbook: Mapped[str] = mapped_column(Text, primary_key=True)
    runs: Mapped[int]
    successes: Mapped[int]
    mean_recovery_s: Mapped[float | None] = mapped_column(Float)
    updated_at: Mapped[datetime] = mapped_column(index=True)
    by_kind: Mapped[dict[str, list[float]]] = mapped_column(JSONB, server_default="{}")
    """By kind of component: runs and successes that still count."""
    typical_recovery_s: Mapped[float | None] = mapped_column(Float)
    recovery_high_s: Mapped[float | None] = mapped_column(Float)
    changed_at: Mapped[datetime | None]

    def tally(self) -> Tally:
        return Tally(self.runs, self.successes, self.mean_recovery_s)


class AlarmRow(Base):  # type: ignore[misc, valid-type]
    """One incident, until it is judged whether it was worth an alarm, and how it was judged."""

    __tablename__ = "alarms"
    __table_args__ = (Index("ix_alarms_series", "component", "pattern"),)

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int]
    component: Mapped[str] = mapped_column(String(64))
    pattern: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(index=True)
    resolved_at: Mapped[datetime | None] = mapped_column(index=True)
    silenced: Mapped[bool]
    """By a person."""
    budget_at_first: Mapped[float | None] = mapped_column(Float)
    """Least share of the component's error budgets that was left when it was first heard of."""
    budget_spent: Mapped[float] = mapped_column(Float)
    judged: Mapped[str] = mapped_column(String(16))
    """Empty: not yet."""
    why: Mapped[str] = mapped_column(Text)


class ForetoldRow(Base):  # type: ignore[misc, valid-type]
    """One prediction and what became of it; also an incident of a watched series that nobody foretold."""

    __tablename__ = "foretold"
    __table_args__ = (Index("ix_foretold_series", "component", "metric"),)

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(String(64))
    metric: Mapped[str] = mapped_column(Text)
    came: Mapped[str] = mapped_column(String(16))
    opened_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]


class ModelRow(Base):  # type: ignore[misc, valid-type]
    """One version of a model (requirements H13, M02). One of each type is in force; none: as shipped."""

    __tablename__ = "learning_models"
    __table_args__ = (
        Index("uq_learning_models_version", "model_type", "model_version", unique=True),
        Index("uq_learning_models_active", "model_type", unique=True, postgresql_where=text("active")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_type: Mapped[str] = mapped_column(String(50))
    model_version: Mapped[int]
    parameter: Mapped[float] = mapped_column(Float)
    training_data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    performance_metrics: Mapped[dict[str, Any]] = mapped_column(JSONB)
    active: Mapped[bool] = mapped_column(server_default="false")
    deployed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(Text)
