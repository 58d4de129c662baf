"""What was foretold of each run and whether it helped; what each run was for, so that records are kept by kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("expected_success", sa.Float(), nullable=True))
    op.add_column("decisions", sa.Column("helped", sa.Boolean(), nullable=True))
    op.create_index("ix_decisions_helped", "decisions", ["updated_at"], postgresql_where=sa.text("helped is not null"))
    op.add_column("grants", sa.Column("signature", sa.Text(), nullable=False, server_default=""))
    op.add_column("grants", sa.Column("kind", sa.String(50), nullable=False, server_default=""))
    op.create_index("ix_grants_signature", "grants", ["signature"], postgresql_where=sa.text("result is not null"))


def downgrade() -> None:
    op.drop_index("ix_grants_signature", "grants")
    op.drop_column("grants", "kind")
    op.drop_column("grants", "signature")
    op.drop_index("ix_decisions_helped", "decisions")
    op.drop_column("decisions", "helped")
    op.drop_column("decisions", "expected_success")
