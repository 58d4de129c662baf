"""Cases with their next look, decisions with their inputs, and grants: who may act where, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    op.create_table(
        "cases",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("incident_revision", sa.Integer(), nullable=False),
        sa.Column("source_revision", sa.Integer(), nullable=False),
        sa.Column("symptom_of", sa.Uuid(), nullable=True),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.Column("updated_at", _INSTANT, nullable=False),
    )
    for column in ("component", "symptom_of", "next_at", "updated_at"):
        op.create_index(f"ix_cases_{column}", "cases", [column])
    _decisions()
    _grants()


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid(), primary_key=True),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("decision_type", sa.String(16), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("context_data", JSONB(), nullable=False),
        sa.Column("chosen_action", sa.Text(), nullable=True),
        sa.Column("alternatives_considered", JSONB(), nullable=False),
        sa.Column("confidence_score", sa.Numeric(3, 2), nullable=False),
        sa.Column("risk_assessment", JSONB(), nullable=False),
        sa.Column("expected_outcome", sa.Text(), nullable=False),
        sa.Column("actual_outcome", JSONB(none_as_null=True), nullable=True),
        sa.Column("event", JSONB(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("closed_at", _INSTANT, nullable=True),
    )
    op.create_index("ix_decisions_case_id", "decisions", ["case_id"])
    op.create_index("ix_decisions_created_at", "decisions", ["created_at"])
    op.create_index(
        "uq_decisions_live_case", "decisions", ["case_id"], unique=True, postgresql_where=sa.text("closed_at is null")
    )
    op.create_index(
        "ix_decisions_asking",
        "decisions",
        ["component"],
        postgresql_where=sa.text("verdict = 'ask' and closed_at is null"),
    )


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("decision_id", sa.Uuid(), primary_key=True),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("cooldown_s", sa.Float(), nullable=False),
        sa.Column("granted_at", _INSTANT, nullable=False),
        sa.Column("lease_until", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("result", sa.String(16), nullable=True),
    )
    op.create_index("ix_grants_pack", "grants", ["pack", "granted_at"])
    op.create_index("ix_grants_component", "grants", ["component", "playbook"])
    op.create_index(
        "uq_grants_busy_component",
        "grants",
        ["component"],
        unique=True,
        postgresql_where=sa.text("finished_at is null"),
    )


def downgrade() -> None:
    for table in ("grants", "decisions", "cases"):
        op.drop_table(table)
    drop_messaging_tables(op)  # type: ignore[arg-type]
