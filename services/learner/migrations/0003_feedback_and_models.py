"""What thresholds decided, how alarms and predictions came out, and the models that outcomes gave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("decisions", sa.Column("pack", sa.String(64), nullable=False, server_default=""))
    op.add_column("decisions", sa.Column("case_kind", sa.String(16), nullable=False, server_default=""))
    op.add_column("decisions", sa.Column("threshold", sa.Float(), nullable=True))
    op.add_column("decisions", sa.Column("gated", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("decisions", sa.Column("first_at", INSTANT, nullable=True))
    op.add_column("decisions", sa.Column("answered_at", INSTANT, nullable=True))
    op.create_table(
        "alarms",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("silenced", sa.Boolean(), nullable=False),
        sa.Column("budget_at_first", sa.Float(), nullable=True),
        sa.Column("budget_spent", sa.Float(), nullable=False),
        sa.Column("judged", sa.String(16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
    op.create_index("ix_alarms_series", "alarms", ["component", "pattern"])
    op.create_index("ix_alarms_opened_at", "alarms", ["opened_at"])
    op.create_index("ix_alarms_resolved_at", "alarms", ["resolved_at"])
    op.create_table(
        "foretold",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("came", sa.String(16), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
    )
    op.create_index("ix_foretold_series", "foretold", ["component", "metric"])
    op.create_index("ix_foretold_opened_at", "foretold", ["opened_at"])
    op.create_table(
        "learning_models",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("model_type", sa.String(50), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("parameter", sa.Float(), nullable=False),
        sa.Column("training_data", JSONB(), nullable=False),
        sa.Column("performance_metrics", JSONB(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False, server_default="false"),
        sa.Column("deployed_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("uq_learning_models_version", "learning_models", ["model_type", "model_version"], unique=True)
    op.create_index(
        "uq_learning_models_active", "learning_models", ["model_type"], unique=True, postgresql_where=sa.text("active")
    )
    op.create_index("ix_learning_models_created_at", "learning_models", ["created_at"])


def downgrade() -> None:
    for table in ("learning_models", "foretold", "alarms"):
        op.drop_table(table)
    for column in ("answered_at", "first_at", "gated", "threshold", "case_kind", "pack"):
        op.drop_column("decisions", column)
