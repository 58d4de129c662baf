"""Outcomes, decisions for context, words from outside, lessons and knowledge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    op.create_table(
        "outcomes",
        sa.Column("decision_id", sa.Uuid(), primary_key=True),
        sa.Column("position", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("case_kind", sa.String(16), nullable=False),
        sa.Column("timestamp", INSTANT, nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("issue_type", sa.Text(), nullable=False),
        sa.Column("fix_type", sa.Text(), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("original_confidence", sa.Float(), nullable=False),
        sa.Column("result_status", sa.String(16), nullable=False),
        sa.Column("validation_status", sa.String(16), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("attempted", sa.Boolean(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("error_count_after", sa.Integer(), nullable=False),
        sa.Column("recovery_s", sa.Float(), nullable=True),
        sa.Column("label", sa.Boolean(), nullable=True),
        sa.UniqueConstraint("position", name="uq_outcomes_position"),
    )
    op.create_index("ix_outcomes_case_id", "outcomes", ["case_id"])
    op.create_index("ix_outcomes_timestamp", "outcomes", ["timestamp"])
    op.create_index("ix_outcomes_pair", "outcomes", ["issue_type", "fix_type"])
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid(), primary_key=True),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.String(16), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
    )
    op.create_index("ix_decisions_case_id", "decisions", ["case_id"])
    op.create_index("ix_decisions_at", "decisions", ["at"])
    op.create_table(
        "external_labels",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
    )
    op.create_index("ix_external_labels_at", "external_labels", ["at"])
    op.create_table(
        "learning_feedback",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("outcome_quality", sa.Numeric(3, 2), nullable=False),
        sa.Column("feedback_type", sa.String(50), nullable=False),
        sa.Column("lessons_learned", sa.Text(), nullable=False),
        sa.Column("model_adjustments", JSONB(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_index("ix_learning_feedback_decision_id", "learning_feedback", ["decision_id"])
    op.create_index("ix_learning_feedback_created_at", "learning_feedback", ["created_at"])
    op.create_table(
        "knowledge",
        sa.Column("signature", sa.Text(), primary_key=True),
        sa.Column("playbook", sa.Text(), primary_key=True),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("successes", sa.Integer(), nullable=False),
        sa.Column("mean_recovery_s", sa.Float(), nullable=True),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
    op.create_index("ix_knowledge_updated_at", "knowledge", ["updated_at"])


def downgrade() -> None:
    for table in ("knowledge", "learning_feedback", "external_labels", "decisions", "outcomes"):
        op.drop_table(table)
    drop_messaging_tables(op)  # type: ignore[arg-type]
