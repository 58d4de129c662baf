"""Predictions with what became of them, and scheduled maintenance."""

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
        "maintenance_predictions",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("component_type", sa.String(50), nullable=False),
        sa.Column("component_id", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(200), nullable=False),
        sa.Column("labels", JSONB(), nullable=False),
        sa.Column("predicted_issue", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("probability", sa.Numeric(3, 2), nullable=False),
        sa.Column("time_to_failure_hours", sa.Float(), nullable=False),
        sa.Column("recommended_action", sa.Text(), nullable=False),
        sa.Column("business_impact", sa.Text(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("moment", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("current_value", sa.Float(), nullable=False),
        sa.Column("limit_value", sa.Float(), nullable=False),
        sa.Column("slope_per_s", sa.Float(), nullable=False),
        sa.Column("eta_s", sa.Float(), nullable=False),
        sa.Column("eta_low_s", sa.Float(), nullable=False),
        sa.Column("eta_high_s", sa.Float(), nullable=False),
        sa.Column("traffic_per_s", sa.Float(), nullable=True),
        sa.Column("first_eta_s", sa.Float(), nullable=False),
        sa.Column("first_eta_low_s", sa.Float(), nullable=False),
        sa.Column("first_eta_high_s", sa.Float(), nullable=False),
        sa.Column("reached_at", instant, nullable=True),
        sa.Column("ended_at", instant, nullable=True),
    )
    op.create_index("ix_maintenance_predictions_component_id", "maintenance_predictions", ["component_id"])
    op.create_index("ix_maintenance_predictions_created_at", "maintenance_predictions", ["created_at"])
    op.create_index("ix_maintenance_predictions_status", "maintenance_predictions", ["status"])
    op.create_table(
        "maintenance_schedules",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column(
            "prediction_id",
            sa.Uuid(),
            sa.ForeignKey(
                "maintenance_predictions.id",
                name="fk_maintenance_schedules_prediction_id_maintenance_predictions",
                ondelete="CASCADE",
            ),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("scheduled_at", instant, nullable=False),
        sa.Column("maintenance_type", sa.String(100), nullable=False),
        sa.Column("estimated_duration_minutes", sa.Float(), nullable=False),
        sa.Column("required_resources", JSONB(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("completed_at", instant, nullable=True),
    )
    op.create_index("ix_maintenance_schedules_prediction_id", "maintenance_schedules", ["prediction_id"])


def downgrade() -> None:
    op.drop_table("maintenance_schedules")
    op.drop_table("maintenance_predictions")
    drop_messaging_tables(op)  # type: ignore[arg-type]
