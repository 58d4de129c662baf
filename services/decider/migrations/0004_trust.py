"""Rights to act alone as they were given and taken, people's words on decisions, and what acting is worth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "autonomy",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("cooling_until", _INSTANT, nullable=True),
        sa.Column("at", _INSTANT, nullable=False),
    )
    op.create_index("ix_autonomy_standing", "autonomy", ["pack", "signature", "playbook", "at"])
    op.create_table(
        "overrides",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("was_verdict", sa.String(16), nullable=False),
        sa.Column("was_playbook", sa.Text(), nullable=True),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("helped", sa.Boolean(), nullable=True),
        sa.Column("at", _INSTANT, nullable=False),
    )
    for column in ("decision_id", "signature", "at"):
        op.create_index(f"ix_overrides_{column}", "overrides", [column])
    op.create_table(
        "trials",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("for_s", sa.Float(), nullable=False),
        sa.Column("decided_at", _INSTANT, nullable=False),
        sa.Column("over_at", _INSTANT, nullable=True),
    )
    op.create_index("ix_trials_decided_at", "trials", ["decided_at"])


def downgrade() -> None:
    for table in ("trials", "overrides", "autonomy"):
        op.drop_table(table)
