"""The detector's tables: incidents and health as they are now, and the last known bytes of watched files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    Uuid,
    case,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING, messaging_tables

Json = str | float | bool | None | dict[str, "Json"] | list["Json"]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), UUID: Uuid}


messaging_tables(Base.metadata)


class IncidentRow(Base):
    """The newest revision of one incident."""

    __tablename__ = "incidents"
    __table_args__ = (
        CheckConstraint("status in ('open', 'resolved')", name="status"),
        CheckConstraint("(status = 'resolved') = (resolved_at is not null)", name="resolved"),
        Index("ix_incidents_open", "component", postgresql_where=text("status = 'open'")),
        Index("ix_incidents_opened_at", "opened_at"),
        Index("ix_incidents_resolved_at", "resolved_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    transition: Mapped[str] = mapped_column(String(20))
    component: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(Text)
    incident_type: Mapped[str] = mapped_column(String(200))
    """The pattern: `process-exited`, `error-ratio`, `log:rate_limit`, …"""
    detection_method: Mapped[str] = mapped_column(String(20))
    severity: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(10))
    summary: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    occurrences: Mapped[int] = mapped_column(Integer)
    error_count: Mapped[int] = mapped_column(Integer)
    flapping: Mapped[bool] = mapped_column(Boolean)
    evidence: Mapped[Json] = mapped_column(JSONB, nullable=False)
    labels: Mapped[Json] = mapped_column(JSONB, nullable=False)
    priority: Mapped[str] = mapped_column(String(2), server_default="")
    seen_before: Mapped[int] = mapped_column(Integer, server_default="0")
    silenced: Mapped[str] = mapped_column(Text, server_default="")
    updated_at: Mapped[datetime]


class HealthRow(Base):
    """Health of one component now."""

    __tablename__ = "health"

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    status: Mapped[str] = mapped_column(String(10))
    since: Mapped[datetime]
    error_count: Mapped[int] = mapped_column(Integer)
    open_incidents: Mapped[Json] = mapped_column(JSONB, nullable=False)
    told_at: Mapped[datetime]


class StormRow(Base):
    """A pack that has, or lately had, a storm of alarms."""

    __tablename__ = "storm"

    pack: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[datetime]
    raged_at: Mapped[datetime]
    """When alarms last came in waves."""
    is_on: Mapped[bool] = mapped_column(Boolean)


class WatchedFileRow(Base):
    """What a watched file was when last looked at: a change made while nobody looked is still told."""

    __tablename__ = "watched_file"

    probe: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    """Empty: the file wasn't there."""
    seen_at: Mapped[datetime]


class ReadPositionRow(Base):
    """How far a log has been read: a restart goes on from there."""

    __tablename__ = "read_position"

    probe: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[str] = mapped_column(Text)
    """In the probe's own words: a place in a file, a journal's cursor, the time of a container's last line."""
    seen_at: Mapped[datetime]


class LogPatternRow(Base):
    """One recurring pattern of a component's log lines."""

    __tablename__ = "log_patterns"
    __table_args__ = (Index("ix_log_patterns_last_seen_at", "last_seen_at"),)

    component: Mapped[str] = mapped_column(String(64), primary_key=True)
    template: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    words: Mapped[str] = mapped_column(Text)
    lines: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    per_minute: Mapped[float] = mapped_column(Float)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    category: Mapped[str] = mapped_column(String(40))
    severity: Mapped[str | None] = mapped_column(String(20))
    example: Mapped[str] = mapped_column(Text)
    before: Mapped[Json] = mapped_column(JSONB, nullable=False)
    after: Mapped[Json] = mapped_column(JSONB, nullable=False)


async def save_incidents(session: AsyncSession, rows: Sequence[dict[str, object]]) -> None:
    """Each incident's newest revision; an older one never replaces a newer one."""
    if not rows:
        return
    newest = {row["id"]: row for row in rows}
    statement = upsert(IncidentRow)
    replaced = {
        column.name: statement.excluded[column.name] for column in IncidentRow.__table__.columns if column.name != "id"
    }
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[IncidentRow.id], set_=replaced, where=IncidentRow.revision < statement.excluded.revision
        ),
        list(newest.values()),
    )


async def save_health(session: AsyncSession, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    newest = {row["component"]: row for row in rows}
    statement = upsert(HealthRow)
    replaced = {
        name: statement.excluded[name] for name in ("status", "since", "error_count", "open_incidents", "told_at")
    }
    await session.execute(
        statement.on_conflict_do_update(index_elements=[HealthRow.component], set_=replaced), list(newest.values())
    )


async def components_with_open_incidents(session: AsyncSession) -> list[str]:
    found = await session.scalars(
        select(IncidentRow.component).where(IncidentRow.status == "open").distinct().order_by(IncidentRow.component)
    )
    return list(found)


async def alarming(session: AsyncSession, since: datetime) -> list[str]:
    """Components with an open incident that began, or began again, since then; silenced ones are nobody's alarm."""
    found = await session.scalars(
        select(IncidentRow.component)
        .where(IncidentRow.status == "open", IncidentRow.opened_at >= since, IncidentRow.silenced == "")
        .distinct()
        .order_by(IncidentRow.component)
    )
    return list(found)


async def storm_of(session: AsyncSession, pack: str) -> StormRow | None:
    return await session.scalar(select(StormRow).where(StormRow.pack == pack).with_for_update())


async def save_storm(session: AsyncSession, pack: str, since: datetime, raged_at: datetime, is_on: bool) -> None:
    values = {"since": since, "raged_at": raged_at, "is_on": is_on}
    row = upsert(StormRow).values(pack=pack, **values)
    await session.execute(row.on_conflict_do_update(index_elements=[StormRow.pack], set_=values))


async def prune_incidents(session: AsyncSession, now: datetime, older_than: timedelta) -> None:
    """Forgets incidents resolved longer ago: the streams and the audit trail keep the story."""
    await session.execute(delete(IncidentRow).where(IncidentRow.resolved_at < now - older_than))


async def known_file(session: AsyncSession, probe: str) -> str | None:
    """Last known SHA-256 of the file a probe watches; None at first sight."""
    return await session.scalar(select(WatchedFileRow.sha256).where(WatchedFileRow.probe == probe))


async def remember_file(session: AsyncSession, probe: str, sha256: str, now: datetime) -> None:
    row = upsert(WatchedFileRow).values(probe=probe, sha256=sha256, seen_at=now)
    await session.execute(
        row.on_conflict_do_update(index_elements=[WatchedFileRow.probe], set_={"sha256": sha256, "seen_at": now})
    )


async def known_position(session: AsyncSession, probe: str) -> str | None:
    """How far the log that a probe follows has been read; None at first sight."""
    return await session.scalar(select(ReadPositionRow.position).where(ReadPositionRow.probe == probe))


async def remember_position(session: AsyncSession, probe: str, position: str, now: datetime) -> None:
    row = upsert(ReadPositionRow).values(probe=probe, position=position, seen_at=now)
    changed = {"position": position, "seen_at": now}
    await session.execute(row.on_conflict_do_update(index_elements=[ReadPositionRow.probe], set_=changed))


async def prune_positions(session: AsyncSession, now: datetime, older_than: timedelta) -> None:
    """Forgets probes that no longer follow anything."""
    await session.execute(delete(ReadPositionRow).where(ReadPositionRow.seen_at < now - older_than))


async def open_probe_incidents(session: AsyncSession) -> list[tuple[str, str]]:
    """Component and probe of every open incident that a probe found."""
    found = await session.execute(
        select(IncidentRow.component, IncidentRow.labels["probe"].astext)
        .where(IncidentRow.status == "open", IncidentRow.detection_method == "probe")
        .order_by(IncidentRow.component, IncidentRow.opened_at)
    )
    return [(component, probe) for component, probe in found if probe]


async def count_open(session: AsyncSession) -> int:
    found = await session.scalar(select(func.count()).select_from(IncidentRow).where(IncidentRow.status == "open"))
    return found or 0


async def save_log_patterns(session: AsyncSession, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    newest = {(row["component"], row["template"]): row for row in rows}
    statement = upsert(LogPatternRow)
    key = ("component", "template")
    replaced = {
        column.name: statement.excluded[column.name]
        for column in LogPatternRow.__table__.columns
        if column.name not in key
    }
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[LogPatternRow.component, LogPatternRow.template], set_=replaced
        ),
        list(newest.values()),
    )


async def drop_log_patterns(session: AsyncSession, component: str, templates: Sequence[int]) -> None:
    """Those that were merged into others or forgotten."""
    await session.execute(
        delete(LogPatternRow).where(LogPatternRow.component == component, LogPatternRow.template.in_(templates))
    )


async def log_patterns(
    session: AsyncSession, component: str | None, limit: int, *, errors_only: bool
) -> list[LogPatternRow]:
    """Worst first: critical, then by error lines, then by lines."""
    rank = case((LogPatternRow.severity == "critical", 0), (LogPatternRow.severity == "warning", 1), else_=2)
    asked = select(LogPatternRow).order_by(rank, LogPatternRow.errors.desc(), LogPatternRow.lines.desc()).limit(limit)
    if component is not None:
        asked = asked.where(LogPatternRow.component == component)
    if errors_only:
        asked = asked.where(LogPatternRow.errors > 0)
    return list(await session.scalars(asked))


async def prune_log_patterns(session: AsyncSession, now: datetime, older_than: timedelta) -> None:
    await session.execute(delete(LogPatternRow).where(LogPatternRow.last_seen_at < now - older_than))
