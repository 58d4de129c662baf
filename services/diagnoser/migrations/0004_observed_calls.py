"""Calls that traces show."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "observed_calls",
        sa.Column("caller", sa.String(64), primary_key=True),
        sa.Column("callee", sa.String(64), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("duration_sum_ms", sa.Float(), nullable=False),
        sa.Column("first_seen", instant, nullable=False),
        sa.Column("last_seen", instant, nullable=False),
    )
    op.create_index("ix_observed_calls_last_seen", "observed_calls", ["last_seen"])


def downgrade() -> None:
    op.drop_table("observed_calls")
