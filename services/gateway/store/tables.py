"""The gateway's tables.

`timeline` and `audit` only grow: triggers number and chain each row as it is inserted and refuse every change, so
that no path of the code can leave the chain out (see the first migration).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING, messaging_tables


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: DateTime(timezone=True), UUID: Uuid}


messaging_tables(Base.metadata)

CHAINED = {
    "timeline": ("seq", "id", "subject", "case_id", "component", "at", "trace_id", "body"),
    "audit": ("seq", "id", "at", "actor", "role", "action", "target", "result", "status", "detail"),
}
"""Columns that a row's hash covers. The triggers of the first migration name the same ones."""


class TimelineRow(Base):
    """Every event of the services once, in the order in which it was recorded."""

    __tablename__ = "timeline"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(unique=True)
    subject: Mapped[str] = mapped_column(Text)
    """Subject of the contract, without its key."""
    case_id: Mapped[UUID | None] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(index=True)
    recorded_at: Mapped[datetime]
    trace_id: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class LatestRow(Base):
    """The newest state of each thing that events tell of: incidents, decisions, predictions and so on."""

    __tablename__ = "latest"
    __table_args__ = (
        Index("ix_latest_kind_at", "kind", text("at DESC"), text("key DESC")),
        Index("ix_latest_case_id", "case_id"),
    )

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    case_id: Mapped[UUID]
    component: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    body: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)


class TokenRow(Base):
    """Who may come in; the token itself is never stored."""

    __tablename__ = "token"
    __table_args__ = (UniqueConstraint("hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    permissions: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    """What its bearer may do of what playbooks ask for in `required_permissions`."""
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class PackRow(Base):
    """Every version of every pack; a version without a body says that the pack was removed."""

    __tablename__ = "pack"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    applied_at: Mapped[datetime]
    applied_by: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, JsonValue] | None] = mapped_column(JSONB(none_as_null=True))


class SilenceRow(Base):
    """A silence, in one of a bounded number of slots."""

    __tablename__ = "silence"

    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(Uuid)
    component: Mapped[str] = mapped_column(Text)
    pattern: Mapped[str] = mapped_column(Text)
    labels: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class NoticeRow(Base):
    """One thing to tell on one channel. `state`: waiting, sending, sent, failed or dropped; `due_at`: when it is looked
    at next, and while it is sent, when whoever sends it is taken for dead."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("event_id", "pack", "channel", name="uq_notice_event_id_pack_channel"),
        Index("ix_notice_due", "due_at", postgresql_where=text("state in ('waiting', 'sending')")),
        Index("ix_notice_sent", "pack", "channel", "sent_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    pack: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    component: Mapped[str] = mapped_column(Text)
    case_id: Mapped[UUID]
    body: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    batch: Mapped[UUID | None]
    """The message that it was last sent in."""
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(index=True)
    sent_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text)


class SlackClickRow(Base):
    """Requests of Slack's that were heard, so that none is heard twice."""

    __tablename__ = "slack_click"

    signature: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime]


class ThresholdChangeRow(Base):
    """A threshold that was changed as the learner proposed, and may be put back."""

    __tablename__ = "threshold_change"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    proposal_id: Mapped[UUID] = mapped_column(index=True)
    pack: Mapped[str] = mapped_column(Text)
    playbook: Mapped[str] = mapped_column(Text)
    before: Mapped[float | None] = mapped_column(Float)
    """The playbook's own; none: it had the policy's."""
    after: Mapped[float] = mapped_column(Float)
    version: Mapped[int] = mapped_column(Integer)
    """Of the pack, that brought it."""
    proposal: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)
    applied_by: Mapped[str] = mapped_column(Text)
    applied_at: Mapped[datetime] = mapped_column(index=True)
    undone_by: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[datetime | None]


class AuditRow(Base):
    """What people did or were refused."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(unique=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text)
    status: Mapped[int] = mapped_column(Integer)
    detail: Mapped[dict[str, JsonValue]] = mapped_column(JSONB)
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


def table_of(model: type[Base]) -> Table:
    """The table itself: a statement on it skips what the object mapper does for whole objects."""
    table = model.__table__
    assert isinstance(table, Table)
    return table
