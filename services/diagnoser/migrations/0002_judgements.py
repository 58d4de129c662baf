"""What diagnosed causes turned out to be worth, and what others say came of cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "judgements",
        sa.Column("decision_id", sa.Uuid(), primary_key=True),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("raw", sa.Float(), nullable=False),
        sa.Column("told", sa.Float(), nullable=False),
        sa.Column("correct", sa.Boolean(), nullable=False),
        sa.Column("fix_s", sa.Float(), nullable=True),
        sa.Column("at", instant, nullable=False),
    )
    op.create_index("ix_judgements_case_id", "judgements", ["case_id"])
    op.create_index("ix_judgements_at", "judgements", ["at"])
    op.create_table(
        "external_labels",
        sa.Column("case_id", sa.Uuid(), primary_key=True),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("at", instant, nullable=False),
    )
    op.create_index("ix_external_labels_at", "external_labels", ["at"])


def downgrade() -> None:
    for table in ("external_labels", "judgements"):
        op.drop_table(table)
