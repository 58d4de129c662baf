"""Each grant is a lease with an epoch that only rises; what it moves is kept, so that it isn't moved to and fro."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("grants", sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("grants", sa.Column("lease_s", sa.Float(), nullable=False, server_default="300"))
    op.add_column("grants", sa.Column("moves", JSONB(), nullable=False, server_default="{}"))
    op.create_table(
        "epochs",
        sa.Column("component", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("epochs")
    op.drop_column("grants", "moves")
    op.drop_column("grants", "lease_s")
    op.drop_column("grants", "epoch")
