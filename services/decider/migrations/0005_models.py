"""Versions of fitted models (requirement M02)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "decision_models",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("model_type", sa.String(50), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("training_data", JSONB(), nullable=False),
        sa.Column("performance_metrics", JSONB(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("deployed_at", _INSTANT, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("model_type", "model_version", name="uq_decision_models_model_type"),
    )
    op.create_index(
        "uq_decision_models_active",
        "decision_models",
        ["model_type"],
        unique=True,
        postgresql_where=sa.text("active"),
    )


def downgrade() -> None:
    op.drop_table("decision_models")
