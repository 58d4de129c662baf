"""The newest lease of each component, and who carries out each run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("runs", sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("holder", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "fences",
        sa.Column("component", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("fences")
    op.drop_column("runs", "holder")
    op.drop_column("runs", "epoch")
