"""Fences for orders to agents: a later order has a higher one."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("create sequence agent_fence minvalue 1")


def downgrade() -> None:
    op.execute("drop sequence agent_fence")
