"""Incidents with their next look, diagnoses as told, recent changes and anomalies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.Uuid(), primary_key=True),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("opened_at", instant, nullable=False),
        sa.Column("resolved_at", instant, nullable=True),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("due_at", instant, nullable=True),
        sa.Column("seen_at", instant, nullable=False),
    )
    op.create_index("ix_incidents_component", "incidents", ["component"])
    op.create_index("ix_incidents_due_at", "incidents", ["due_at"])
    op.create_index("ix_incidents_seen_at", "incidents", ["seen_at"])
    op.create_table(
        "diagnoses",
        sa.Column("incident_id", sa.Uuid(), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("incident_revision", sa.Integer(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Numeric(4, 3), nullable=False),
        sa.Column("symptom_of", sa.Uuid(), nullable=True),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("root_cause", JSONB(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
    )
    op.create_index("ix_diagnoses_symptom_of", "diagnoses", ["symptom_of"])
    op.create_index("ix_diagnoses_created_at", "diagnoses", ["created_at"])
    op.create_table(
        "changes",
        sa.Column("change_id", sa.Uuid(), primary_key=True),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("at", instant, nullable=False),
    )
    op.create_index("ix_changes_component", "changes", ["component"])
    op.create_index("ix_changes_at", "changes", ["at"])
    op.create_table(
        "anomalies",
        sa.Column("component", sa.String(64), primary_key=True),
        sa.Column("metric", sa.Text(), primary_key=True),
        sa.Column("observed", sa.Float(), nullable=False),
        sa.Column("expected_low", sa.Float(), nullable=False),
        sa.Column("expected_high", sa.Float(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.Column("at", instant, nullable=False),
    )
    op.create_index("ix_anomalies_at", "anomalies", ["at"])


def downgrade() -> None:
    for table in ("anomalies", "changes", "diagnoses", "incidents"):
        op.drop_table(table)
    drop_messaging_tables(op)  # type: ignore[arg-type]
