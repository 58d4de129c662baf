"""Tables: runs with what they did, backups with their content, good versions, and what is known of the cases."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING, messaging_tables

type Json = dict[str, object]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: DateTime(timezone=True), UUID: Uuid}


messaging_tables(Base.metadata)


class Run(Base):
    """One decision carried out: its whole story in one row. `id` is the decision's id and the workflow's."""

    __tablename__ = "runs"
    __table_args__ = (
        # two runs at once on one component are impossible, whatever the code does
        Index(
            "uq_runs_active_component",
            "component",
            unique=True,
            postgresql_where=text("status = 'running' and not dry_run"),
        ),
        Index("ix_runs_unfinished", "created_at", postgresql_where=text("status in ('queued', 'running')")),
        CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'rolled-back', 'failed', 'skipped')", name="status"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    case_id: Mapped[UUID] = mapped_column(index=True)
    case_kind: Mapped[str] = mapped_column(String(20))
    component: Mapped[str] = mapped_column(String(64), index=True)
    pack: Mapped[str] = mapped_column(String(64))
    healing_strategy: Mapped[str] = mapped_column(Text)
    """Name of the playbook."""
    problem_signature: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(String(40))
    confidence: Mapped[float] = mapped_column(Float)
    dry_run: Mapped[bool] = mapped_column(Boolean)
    practice: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """A round of a practice: it belongs to that workflow, and nobody outside hears of it."""
    decision: Mapped[Json] = mapped_column(JSONB)
    """The decision as it arrived, plan and playbook in it."""
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")
    healing_actions: Mapped[list[str]] = mapped_column(JSONB, default=list)
    backup_id: Mapped[str | None] = mapped_column(Text)
    error_count_after: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None] = mapped_column(index=True)
    resolution_time_ms: Mapped[int | None] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Of the lease under which it acts."""
    holder: Mapped[str] = mapped_column(Text, server_default="")
    """The process that carries it out now; one that was paused while another took over finds itself replaced."""


class Fence(Base):
    """The newest lease of a component that the healer has heard of: older ones act no more. Never deleted."""

    __tablename__ = "fences"

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)


class PracticeRow(Base):
    """A playbook practised on a target, with what was found; `id` is the workflow's."""

    __tablename__ = "practices"
    __table_args__ = (
        Index("ix_practices_unfinished", "target", "started_at", postgresql_where=text("finished_at is null")),
        Index("ix_practices_playbook", "pack", "playbook", "started_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    pack: Mapped[str] = mapped_column(String(64))
    playbook: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(String(64))
    spec_hash: Mapped[str] = mapped_column(String(64))
    by: Mapped[str] = mapped_column(Text)
    order: Mapped[Json] = mapped_column(JSONB)
    """What was asked for, with the playbook as it was."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    verdict: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")
    way_back: Mapped[str | None] = mapped_column(String(20))
    evidence: Mapped[list[Json]] = mapped_column(JSONB, default=list)
    """One entry per round: how its run ended, and the states before, broken and after."""


class RunEvent(Base):
    """Something a run has said. The key makes a repeated step say it once."""

    __tablename__ = "run_events"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    phase: Mapped[str] = mapped_column(String(20))
    step: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    duration_ms: Mapped[float | None] = mapped_column(Float)


class Blob(Base):
    """Bytes of a file, kept once however many backups hold them."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class Backup(Base):
    """What was kept before a change; `files` are path, sha256 ("": no file), mode, uid, gid and size."""

    __tablename__ = "backups"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[UUID | None] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(String(64), index=True)
    reason: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float] = mapped_column(Float)
    files: Mapped[list[Json]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(index=True)
    restored_at: Mapped[datetime | None]
    restored_by: Mapped[str] = mapped_column(Text, default="")
    archive: Mapped[str | None] = mapped_column(Text, index=True)
    """The archive file that holds its bytes; null: the database does."""


class BackupArchive(Base):
    """A file with a month of old backups, as it was written."""

    __tablename__ = "backup_archives"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class StepCopy(Base):
    """What a step kept of data that it changed (rows, keys of a cache), so that they can be put back."""

    __tablename__ = "step_copies"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    component: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(index=True)


class WatchedFile(Base):
    """A component's configuration file as it was last seen."""

    __tablename__ = "watched_files"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    component: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    good: Mapped[bool] = mapped_column(Boolean)


class GoodFile(Base):
    """A version of a configuration file that was in force without an incident."""

    __tablename__ = "good_files"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    component: Mapped[str] = mapped_column(String(64))
    mode: Mapped[int] = mapped_column(Integer)
    uid: Mapped[int] = mapped_column(BigInteger)
    gid: Mapped[int] = mapped_column(BigInteger)
    good_at: Mapped[datetime]


class CaseState(Base):
    """The newest that is known of an incident or a prediction."""

    __tablename__ = "case_state"
    __table_args__ = (Index("ix_case_state_component_open", "component", postgresql_where=text("is_open")),)

    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    component: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(Integer)
    is_open: Mapped[bool] = mapped_column(Boolean)
    error_count: Mapped[int] = mapped_column(BigInteger)
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    seen_bad_at: Mapped[datetime | None]
    detection_method: Mapped[str | None] = mapped_column(String(40))
    updated_at: Mapped[datetime] = mapped_column(index=True)
