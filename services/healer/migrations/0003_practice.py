"""Practices: playbooks tried on targets that nobody needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("runs", sa.Column("practice", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.create_table(
        "practices",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("playbook", sa.Text, nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("spec_hash", sa.String(64), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("order", JSONB, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT),
        sa.Column("verdict", sa.String(20)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("way_back", sa.String(20)),
        sa.Column("evidence", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_practices"),
    )
    op.create_index(
        "ix_practices_unfinished",
        "practices",
        ["target", "started_at"],
        postgresql_where=sa.text("finished_at is null"),
    )
    op.create_index("ix_practices_playbook", "practices", ["pack", "playbook", "started_at"])


def downgrade() -> None:
    op.drop_table("practices")
    op.drop_column("runs", "practice")
