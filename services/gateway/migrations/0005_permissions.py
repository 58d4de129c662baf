"""Permissions of tokens; the playbooks in force as a view."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

# One row a playbook of a pack in force and kind of incident; `id` is made of the three names, and so stays.
_RECOVERY_PLAYBOOKS = """
create view recovery_playbooks as
select
    md5(p.name || '/' || b.key || '/' || c.category)::uuid as id,
    c.category as incident_type,
    b.key as playbook_name,
    b.value -> 'steps' as recovery_steps,
    coalesce(b.value ->> 'automation_level', 'semi-auto') as automation_level,
    array(select jsonb_array_elements_text(coalesce(b.value -> 'required_permissions', '[]'))) as required_permissions,
    p.applied_at as created_at,
    p.name as pack,
    p.version as pack_version
from (select distinct on (name) name, version, applied_at, body from pack order by name, version desc) p
cross join lateral jsonb_each(p.body -> 'playbooks') b
cross join lateral jsonb_array_elements_text(b.value -> 'for') c (category)
"""


def upgrade() -> None:
    op.add_column("token", sa.Column("permissions", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")))
    op.execute(_RECOVERY_PLAYBOOKS)


def downgrade() -> None:
    op.execute("drop view recovery_playbooks")
    op.drop_column("token", "permissions")
