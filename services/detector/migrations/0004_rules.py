"""What an incident says to people (priority, past, silence), and storms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # With defaults in the database: the release before writes incidents without these columns.
    op.add_column("incidents", sa.Column("priority", sa.String(2), nullable=False, server_default=""))
    op.add_column("incidents", sa.Column("seen_before", sa.Integer, nullable=False, server_default="0"))
    op.add_column("incidents", sa.Column("silenced", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "storm",
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("raged_at", _INSTANT, nullable=False),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("pack", name="pk_storm"),
    )


def downgrade() -> None:
    op.drop_table("storm")
    for column in ("silenced", "seen_before", "priority"):
        op.drop_column("incidents", column)
