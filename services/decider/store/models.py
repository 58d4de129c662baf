"""The decider's tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Float, Index, Numeric, String, Text, UniqueConstraint, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.db import service_base

Base = service_base()


class CaseRow(Base):  # type: ignore[misc, valid-type]
    """One case and when to look at it next. `state`: open, asking, running, settled or closed."""

    __tablename__ = "cases"

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    component: Mapped[str] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(16))
    is_open: Mapped[bool]
    incident_revision: Mapped[int]
    source_revision: Mapped[int]
    """Of the newest diagnosis or prediction heard."""
    symptom_of: Mapped[UUID | None] = mapped_column(index=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    ordinal: Mapped[int]
    """Number of the decision that is live or comes next: the decision's id is made of case and ordinal."""
    tries: Mapped[int]
    """Refusals in a row, for the pause before the next look."""
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    updated_at: Mapped[datetime] = mapped_column(index=True)


class DecisionRow(Base):  # type: ignore[misc, valid-type]
    """One decision at its newest revision, with all that it was made from (requirement M01)."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index("uq_decisions_live_case", "case_id", unique=True, postgresql_where=text("closed_at is null")),
        Index("ix_decisions_helped", "updated_at", postgresql_where=text("helped is not null")),
        Index("ix_decisions_asking", "component", postgresql_where=text("verdict = 'ask' and closed_at is null")),
    )

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(index=True)
    ordinal: Mapped[int]
    revision: Mapped[int]
    decision_type: Mapped[str] = mapped_column(String(16))
    component: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    category: Mapped[str] = mapped_column(String(32))
    signature: Mapped[str] = mapped_column(Text)
    dry_run: Mapped[bool]
    context_data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    chosen_action: Mapped[str | None] = mapped_column(Text)
    alternatives_considered: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    confidence_score: Mapped[Decimal] = mapped_column(Numeric(3, 2))
    risk_assessment: Mapped[dict[str, Any]] = mapped_column(JSONB)
    expected_outcome: Mapped[str] = mapped_column(Text)
    actual_outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    expected_success: Mapped[float | None] = mapped_column(Float)
    helped: Mapped[bool | None]
    """Whether the run helped; unset before its end, and for what was not tried."""
    event: Mapped[dict[str, Any]] = mapped_column(JSONB)
    decided_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class GrantRow(Base):  # type: ignore[misc, valid-type]
    """A right to act on one component, from the decision to the run's end. The index lets one at a time be open."""

    __tablename__ = "grants"
    __table_args__ = (
        Index("ix_grants_pack", "pack", "granted_at"),
        Index("ix_grants_component", "component", "playbook"),
        Index("ix_grants_signature", "signature", postgresql_where=text("result is not null")),
        Index("uq_grants_busy_component", "component", unique=True, postgresql_where=text("finished_at is null")),
    )

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID]
    pack: Mapped[str] = mapped_column(String(64))
    component: Mapped[str] = mapped_column(String(64))
    playbook: Mapped[str] = mapped_column(Text)
    cooldown_s: Mapped[float] = mapped_column(Float)
    granted_at: Mapped[datetime]
    lease_until: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(String(16))
    signature: Mapped[str] = mapped_column(Text, server_default="")
    kind: Mapped[str] = mapped_column(String(50), server_default="")
    """Of the component."""
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_s: Mapped[float] = mapped_column(Float, server_default="300")
    """By which a renewal prolongs it, from then on."""
    moves: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Settings that the run moves, by name: +1 up, -1 down."""


class EpochRow(Base):  # type: ignore[misc, valid-type]
    """The newest lease of a component. Never deleted: an epoch that began anew would let an old run act again."""

    __tablename__ = "epochs"

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)


class AutonomyRow(Base):  # type: ignore[misc, valid-type]
    """A right to act alone, given or taken; rows are only added, and the newest of a playbook on a problem holds."""

    __tablename__ = "autonomy"
    __table_args__ = (Index("ix_autonomy_standing", "pack", "signature", "playbook", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    pack: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(Text)
    playbook: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cooling_until: Mapped[datetime | None]
    at: Mapped[datetime]


class OverrideRow(Base):  # type: ignore[misc, valid-type]
    """A person's word on a decision. Counted in confidence where no run could tell (`helped` is unset)."""

    __tablename__ = "overrides"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    decision_id: Mapped[UUID] = mapped_column(index=True)
    signature: Mapped[str] = mapped_column(Text, index=True)
    was_verdict: Mapped[str] = mapped_column(String(16))
    was_playbook: Mapped[str | None] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(16))
    playbook: Mapped[str | None] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    applied: Mapped[bool]
    helped: Mapped[bool | None]
    at: Mapped[datetime] = mapped_column(index=True)


class TrialRow(Base):  # type: ignore[misc, valid-type]
    """A case of the trial of what acting is worth: its arm, held with the probability `share`, and its end."""

    __tablename__ = "trials"

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    playbook: Mapped[str] = mapped_column(Text)
    held: Mapped[bool]
    share: Mapped[float] = mapped_column(Float)
    for_s: Mapped[float] = mapped_column(Float)
    decided_at: Mapped[datetime] = mapped_column(index=True)
    over_at: Mapped[datetime | None]


class ModelRow(Base):  # type: ignore[misc, valid-type]
    """A fitted model with what it was made from and how it was judged (requirement M02); one a type may be active."""

    __tablename__ = "decision_models"
    __table_args__ = (
        UniqueConstraint("model_type", "model_version"),
        Index("uq_decision_models_active", "model_type", unique=True, postgresql_where=text("active")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_type: Mapped[str] = mapped_column(String(50))
    model_version: Mapped[int]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    training_data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    performance_metrics: Mapped[dict[str, Any]] = mapped_column(JSONB)
    active: Mapped[bool] = mapped_column(Boolean, server_default=false())
    deployed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
