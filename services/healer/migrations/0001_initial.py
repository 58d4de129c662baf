"""Runs, backups, good versions, cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.db import create_messaging_tables, drop_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_messaging_tables(op)  # type: ignore[arg-type]
    _runs()
    _files()
    op.create_table(
        "case_state",
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("error_count", sa.BigInteger, nullable=False),
        sa.Column("opened_at", _INSTANT),
        sa.Column("closed_at", _INSTANT),
        sa.Column("seen_bad_at", _INSTANT),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_case_state"),
    )
    op.create_index("ix_case_state_updated_at", "case_state", ["updated_at"])
    op.create_index("ix_case_state_component_open", "case_state", ["component"], postgresql_where=sa.text("is_open"))


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("case_kind", sa.String(20), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("healing_strategy", sa.Text, nullable=False),
        sa.Column("problem_signature", sa.Text, nullable=False),
        sa.Column("category", sa.String(40), nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("decision", JSONB, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("healing_actions", JSONB, nullable=False),
        sa.Column("backup_id", sa.Text),
        sa.Column("error_count_after", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("activated_at", _INSTANT),
        sa.Column("started_at", _INSTANT),
        sa.Column("applied_at", _INSTANT),
        sa.Column("deadline_at", _INSTANT),
        sa.Column("resolved_at", _INSTANT),
        sa.Column("resolution_time_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'rolled-back', 'failed', 'skipped')",
            name=op.f("ck_runs_status"),
        ),
    )
    for column in ("case_id", "component", "resolved_at"):
        op.create_index(f"ix_runs_{column}", "runs", [column])
    op.create_index(
        "uq_runs_active_component",
        "runs",
        ["component"],
        unique=True,
        postgresql_where=sa.text("status = 'running' and not dry_run"),
    )
    op.create_index(
        "ix_runs_unfinished", "runs", ["created_at"], postgresql_where=sa.text("status in ('queued', 'running')")
    )
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Float),
        sa.PrimaryKeyConstraint("run_id", "key", name="pk_run_events"),
    )
    op.create_index("ix_run_events_at", "run_events", ["at"])


def _files() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_blobs"),
    )
    op.create_table(
        "backups",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Uuid),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("restored_at", _INSTANT),
        sa.Column("restored_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )
    for column in ("run_id", "component", "created_at"):
        op.create_index(f"ix_backups_{column}", "backups", [column])
    op.create_table(
        "watched_files",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("good", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_watched_files"),
    )
    op.create_table(
        "good_files",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("component", sa.String(64), nullable=False),
        sa.Column("mode", sa.Integer, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column("gid", sa.BigInteger, nullable=False),
        sa.Column("good_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("path", "sha256", name="pk_good_files"),
    )


def downgrade() -> None:
    for table in ("case_state", "good_files", "watched_files", "backups", "blobs", "run_events", "runs"):
        op.drop_table(table)
    drop_messaging_tables(op)  # type: ignore[arg-type]
