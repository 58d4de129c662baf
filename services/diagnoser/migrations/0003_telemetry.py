"""What the series of each component say: which deviate since when, and what is usual."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "telemetry",
        sa.Column("component", sa.String(64), primary_key=True),
        sa.Column("noticed_at", instant, nullable=True),
        sa.Column("deviations", JSONB(), nullable=False),
        sa.Column("usual", JSONB(), nullable=False),
        sa.Column("at", instant, nullable=False),
    )
    op.create_index("ix_telemetry_at", "telemetry", ["at"])


def downgrade() -> None:
    op.drop_table("telemetry")
