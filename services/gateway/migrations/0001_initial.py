"""The gateway's first tables, with the triggers that chain and protect what only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None

# Numbering and hashing happen under a lock that is held until the transaction ends: rows come out in the order of
# their numbers, without gaps, and each hash covers the one before. The columns are named so that a column added
# later doesn't change the hashes of old rows; UTC keeps times the same whatever the session's zone.
CHAIN_APPEND = """
create function chain_append() returns trigger language plpgsql set timezone to 'UTC' as $$
declare
    last_seq bigint;
    last_hash bytea;
begin
    perform pg_advisory_xact_lock(hashtext(tg_table_schema), hashtext(tg_table_name));
    execute format('select seq, hash from %I.%I order by seq desc limit 1', tg_table_schema, tg_table_name)
        into last_seq, last_hash;
    new.seq := coalesce(last_seq, 0) + 1;
    new.prev_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
    new.hash := sha256(new.prev_hash || convert_to(chain_content(to_jsonb(new), tg_argv), 'UTF8'));
    return new;
end $$
"""
CHAIN_CONTENT = """
create function chain_content(entry jsonb, columns text[]) returns text language sql immutable as $$
    select jsonb_agg(entry -> name order by position)::text from unnest(columns) with ordinality as c(name, position)
$$
"""
APPEND_ONLY = """
create function append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('homeostat.pruning', true) = 'on' then
        return old;
    end if;
    raise exception '% only grows: its rows may be neither changed nor deleted', tg_table_name;
end $$
"""
CHAINED = {
    "timeline": "'seq', 'id', 'subject', 'case_id', 'component', 'at', 'trace_id', 'body'",
    "audit": "'seq', 'id', 'at', 'actor', 'role', 'action', 'target', 'result', 'status', 'detail'",
}


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _chain() -> list[sa.Column[object]]:
    return [
        sa.Column("prev_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    ]


def _create_chained() -> None:
    op.create_table(
        "timeline",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=True),
        sa.Column("component", sa.Text, nullable=False),
        _instant("at"),
        _instant("recorded_at"),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        *_chain(),
        sa.PrimaryKeyConstraint("seq", name="pk_timeline"),
        sa.UniqueConstraint("id", name="uq_timeline_id"),
    )
    op.create_index("ix_timeline_case_id", "timeline", ["case_id"])
    op.create_index("ix_timeline_at", "timeline", ["at"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Uuid, nullable=False),
        _instant("at"),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
        *_chain(),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("id", name="uq_audit_id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    _create_chained()
    op.create_table(
        "latest",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("component", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        _instant("at"),
        sa.Column("body", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_latest"),
    )
    op.create_index("ix_latest_kind_at", "latest", ["kind", sa.text("at DESC"), sa.text("key DESC")])
    op.create_index("ix_latest_case_id", "latest", ["case_id"])
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        _instant("created_at"),
        sa.Column("created_by", sa.Text, nullable=False),
        _instant("expires_at", nullable=True),
        _instant("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("hash", name="uq_token_hash"),
    )
    op.create_table(
        "pack",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        _instant("applied_at"),
        sa.Column("applied_by", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name="pk_pack"),
    )
    for statement in (CHAIN_CONTENT, CHAIN_APPEND, APPEND_ONLY):
        op.execute(statement)
    for table, columns in CHAINED.items():
        op.execute(
            f"create trigger chain before insert on {table} for each row execute function chain_append({columns})"
        )
        op.execute(
            f"create trigger keep before update or delete on {table} for each row execute function append_only()"
        )
        op.execute(f"create trigger keep_all before truncate on {table} execute function append_only()")


def downgrade() -> None:
    for table in ("timeline", "audit", "latest", "token", "pack"):
        op.drop_table(table)
    for function in ("chain_append()", "chain_content(jsonb, text[])", "append_only()"):
        op.execute(f"drop function {function}")
    drop_messaging_tables(op)  # type: ignore[arg-type]
