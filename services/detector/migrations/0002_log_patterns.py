"""Recurring patterns of log lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "log_patterns",
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("template", sa.Integer, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("per_minute", sa.Float, nullable=False),
        sa.Column("first_seen_at", _INSTANT, nullable=False),
        sa.Column("last_seen_at", _INSTANT, nullable=False),
        sa.Column("category", sa.String(40), nullable=False),
        sa.Column("severity", sa.String(20)),
        sa.Column("example", sa.Text, nullable=False),
        sa.Column("before", JSONB, nullable=False),
        sa.Column("after", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("component", "template", name="pk_log_patterns"),
    )
    op.create_index("ix_log_patterns_last_seen_at", "log_patterns", ["last_seen_at"])


def downgrade() -> None:
    op.drop_table("log_patterns")
