"""Archives of old backups; how incidents were detected; what was healed, and what has helped, as views."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_INCIDENTS = """
create view healing_incidents as
select
    r.id,
    r.category as incident_type,
    c.detection_method,
    jsonb_build_object(
        'category', r.category,
        'signature', r.problem_signature,
        'component', r.component,
        'confidence', r.confidence,
        'case_id', r.case_id
    ) as root_cause,
    r.healing_strategy,
    array(select jsonb_array_elements(r.healing_actions)) as healing_actions,
    r.status,
    coalesce(c.opened_at, r.started_at, r.created_at) as started_at,
    r.resolved_at,
    r.resolution_time_ms
from runs r
left join case_state c on c.case_id = r.case_id
where not r.dry_run and not r.practice
"""
# A run that touched nothing says nothing of what helps, and neither does a practice.
_PATTERNS = """
create view healing_patterns as
select
    md5(t.problem_signature)::uuid as id,
    t.problem_signature,
    coalesce(
        array_agg(
            jsonb_build_object(
                'playbook', t.healing_strategy,
                'runs', t.runs,
                'successes', t.successes,
                'success_rate', round(t.successes::numeric / t.runs, 2),
                'average_resolution_time_ms', t.average_ms
            )
            order by t.successes::numeric / t.runs desc, t.runs desc, t.healing_strategy
        ) filter (where t.successes > 0),
        '{}'
    ) as proven_solutions,
    round(sum(t.successes)::numeric / sum(t.runs), 2)::numeric(3, 2) as success_rate,
    round(sum(t.average_ms * t.successes) / nullif(sum(t.successes), 0))::bigint as average_resolution_time_ms,
    max(t.last_updated) as last_updated
from (
    select
        problem_signature,
        healing_strategy,
        count(*) as runs,
        count(*) filter (where status = 'succeeded') as successes,
        round(avg(resolution_time_ms) filter (where status = 'succeeded')) as average_ms,
        max(resolved_at) as last_updated
    from runs
    where status in ('succeeded', 'rolled-back', 'failed') and not dry_run and not practice
    group by problem_signature, healing_strategy
) t
group by t.problem_signature
"""


def upgrade() -> None:
    op.add_column("backups", sa.Column("archive", sa.Text))
    op.create_index("ix_backups_archive", "backups", ["archive"])
    op.create_table(
        "backup_archives",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_backup_archives"),
    )
    op.add_column("case_state", sa.Column("detection_method", sa.String(40)))
    op.execute(_INCIDENTS)
    op.execute(_PATTERNS)


def downgrade() -> None:
    op.execute("drop view healing_patterns")
    op.execute("drop view healing_incidents")
    op.drop_column("case_state", "detection_method")
    op.drop_table("backup_archives")
    op.drop_column("backups", "archive")
