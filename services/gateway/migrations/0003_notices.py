"""What people are told, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("component", sa.Text, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("batch", sa.Uuid, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("event_id", "pack", "channel", name="uq_notice_event_id_pack_channel"),
    )
    op.create_index("ix_notice_due", "notice", ["due_at"], postgresql_where=sa.text("state in ('waiting', 'sending')"))
    op.create_index("ix_notice_created_at", "notice", ["created_at"])
    op.create_index("ix_notice_sent", "notice", ["pack", "channel", "sent_at"])
    op.create_table(
        "slack_click",
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("signature", name="pk_slack_click"),
    )


def downgrade() -> None:
    op.drop_table("slack_click")
    op.drop_table("notice")
