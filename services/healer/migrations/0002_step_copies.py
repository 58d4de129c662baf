"""What steps keep of the data that they change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "step_copies",
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("step", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_step_copies"),
    )
    op.create_index("ix_step_copies_sha256", "step_copies", ["sha256"])
    op.create_index("ix_step_copies_created_at", "step_copies", ["created_at"])


def downgrade() -> None:
    op.drop_table("step_copies")
