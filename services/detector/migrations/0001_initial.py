"""Incidents and health as they are now, watched files, and the messaging tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("transition", sa.String(20), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("incident_type", sa.String(200), nullable=False),
        sa.Column("detection_method", sa.String(20), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("last_seen_at", _INSTANT, nullable=False),
        sa.Column("resolved_at", _INSTANT),
        sa.Column("occurrences", sa.Integer, nullable=False),
        sa.Column("error_count", sa.Integer, nullable=False),
        sa.Column("flapping", sa.Boolean, nullable=False),
        sa.Column("evidence", JSONB, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.CheckConstraint("status in ('open', 'resolved')", name="ck_incidents_status"),
        sa.CheckConstraint("(status = 'resolved') = (resolved_at is not null)", name="ck_incidents_resolved"),
    )
    op.create_index("ix_incidents_open", "incidents", ["component"], postgresql_where=sa.text("status = 'open'"))
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_index("ix_incidents_resolved_at", "incidents", ["resolved_at"])
    op.create_table(
        "health",
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("error_count", sa.Integer, nullable=False),
        sa.Column("open_incidents", JSONB, nullable=False),
        sa.Column("told_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("component", name="pk_health"),
    )
    op.create_table(
        "watched_file",
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("probe", name="pk_watched_file"),
    )


def downgrade() -> None:
    for table in ("watched_file", "health", "incidents"):
        op.drop_table(table)
    drop_messaging_tables(op)  # type: ignore[arg-type]
