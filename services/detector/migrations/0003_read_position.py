"""How far logs have been read, so that a restart neither loses nor repeats lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "read_position",
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("probe", name="pk_read_position"),
    )


def downgrade() -> None:
    op.drop_table("read_position")
