"""What of past runs still counts, by kind of component, and how long recoveries take now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outcomes", sa.Column("kind", sa.String(50), nullable=False, server_default=""))
    op.add_column("knowledge", sa.Column("by_kind", JSONB(), nullable=False, server_default="{}"))
    op.add_column("knowledge", sa.Column("typical_recovery_s", sa.Float(), nullable=True))
    op.add_column("knowledge", sa.Column("recovery_high_s", sa.Float(), nullable=True))
    op.add_column("knowledge", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for column in ("changed_at", "recovery_high_s", "typical_recovery_s", "by_kind"):
        op.drop_column("knowledge", column)
    op.drop_column("outcomes", "kind")
