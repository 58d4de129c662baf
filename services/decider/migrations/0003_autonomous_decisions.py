"""The table of decisions as other systems know it (requirement M01): a view of those columns."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        "create view autonomous_decisions as select decision_id as id, decision_type, context_data, chosen_action, "
        "alternatives_considered, confidence_score, risk_assessment, expected_outcome, actual_outcome, created_at "
        "from decisions"
    )


def downgrade() -> None:
    op.execute("drop view autonomous_decisions")
