"""Thresholds that were changed as the learner proposed, with what they were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "threshold_change",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("proposal_id", sa.Uuid, nullable=False),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("playbook", sa.Text, nullable=False),
        sa.Column("before", sa.Float, nullable=True),
        sa.Column("after", sa.Float, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("proposal", JSONB, nullable=False),
        sa.Column("applied_by", sa.Text, nullable=False),
        sa.Column("applied_at", _INSTANT, nullable=False),
        sa.Column("undone_by", sa.Text, nullable=True),
        sa.Column("undone_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_threshold_change"),
    )
    op.create_index("ix_threshold_change_proposal_id", "threshold_change", ["proposal_id"])
    op.create_index("ix_threshold_change_applied_at", "threshold_change", ["applied_at"])


def downgrade() -> None:
    op.drop_table("threshold_change")
