"""Recommendations with what was measured after them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "optimization_recommendations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("optimization_type", sa.String(50), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("knob", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("current_state", JSONB(), nullable=False),
        sa.Column("recommended_state", JSONB(), nullable=False),
        sa.Column("expected_improvement", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("implementation_steps", ARRAY(JSONB()), nullable=False),
        sa.Column("risk_assessment", JSONB(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("applied_at", instant, nullable=True),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("p50_before_ms", sa.Float(), nullable=False),
        sa.Column("p99_before_ms", sa.Float(), nullable=False),
        sa.Column("p50_after_ms", sa.Float(), nullable=True),
        sa.Column("p99_after_ms", sa.Float(), nullable=True),
        sa.Column("risk", sa.Numeric(4, 3), nullable=False),
    )
    op.create_index("ix_optimization_recommendations_component", "optimization_recommendations", ["component"])
    op.create_index("ix_optimization_recommendations_created_at", "optimization_recommendations", ["created_at"])


def downgrade() -> None:
    op.drop_table("optimization_recommendations")
    drop_messaging_tables(op)  # type: ignore[arg-type]
