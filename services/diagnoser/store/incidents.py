"""Open incidents, and when to look at each again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    delete,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.store.models import (
    OPEN_LIMIT,
    AnomalyRow,
    ChangeRow,
    DiagnosisRow,
    IncidentRow,
    TelemetryRow,
)
from shared.contracts.detector import Incident


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open incident as the detector told it, and which of its openings this is."""

    incident: Incident
    opening: int


async def take_incident(session: AsyncSession, event: Incident, now: datetime) -> bool:
    """Keeps the newest revision; False when this one is old news. The row stays locked until the unit ends."""
    await session.execute(
        insert(IncidentRow)
        .values(
            incident_id=event.case_id,
            component=event.component,
            revision=0,
            opening=0,
            opened_at=event.opened_at,
            resolved_at=event.opened_at,
            body={},
            seen_at=now,
        )
        .on_conflict_do_nothing()
    )
    row = (
        await session.execute(select(IncidentRow).where(IncidentRow.incident_id == event.case_id).with_for_update())
    ).scalar_one()
    if event.revision <= row.revision:
        return False
    if event.is_open and row.resolved_at is not None:
        row.opening += 1
    row.revision, row.component = event.revision, event.component
    row.opened_at, row.resolved_at = event.opened_at, event.resolved_at
    row.body, row.seen_at = event.model_dump(mode="json"), now
    if not event.is_open:
        row.due_at = None
    return True


async def look_again(session: AsyncSession, components: Collection[str], at: datetime, *, but: UUID | None) -> int:
    """Open incidents of these components are looked at by `at`, if not sooner; returns how many there are."""
    if not components:
        return 0
    # A row that is locked is being diagnosed now, and looked at again within the review interval anyway.
    rows = (
        select(IncidentRow.incident_id)
        .where(
            IncidentRow.component.in_(components),
            IncidentRow.resolved_at.is_(None),
            or_(IncidentRow.due_at.is_(None), IncidentRow.due_at > at),
        )
        .with_for_update(skip_locked=True)
    )
    if but is not None:
        rows = rows.where(IncidentRow.incident_id != but)
    return await _update_due(session, rows, at)


async def look_at_all(session: AsyncSession, at: datetime) -> int:
    """Every open incident is looked at by `at`; returns how many there are."""
    rows = select(IncidentRow.incident_id).where(IncidentRow.resolved_at.is_(None)).with_for_update(skip_locked=True)
    return await _update_due(session, rows, at)


async def _update_due(session: AsyncSession, rows: Select[UUID], at: datetime) -> int:
    ids = (await session.execute(rows)).scalars().all()
    if ids:
        await session.execute(update(IncidentRow).where(IncidentRow.incident_id.in_(ids)).values(due_at=at))
    return len(ids)


async def set_due(session: AsyncSession, incident_id: UUID, at: datetime) -> None:
    await session.execute(update(IncidentRow).where(IncidentRow.incident_id == incident_id).values(due_at=at))


async def sooner(session: AsyncSession, incident_id: UUID, at: datetime) -> None:
    """Look at it by `at`, if it isn't to be looked at sooner."""
    await session.execute(
        update(IncidentRow)
        .where(IncidentRow.incident_id == incident_id, or_(IncidentRow.due_at.is_(None), IncidentRow.due_at > at))
        .values(due_at=at)
    )


async def due(session: AsyncSession, now: datetime, limit: int) -> list[OpenIncident]:
    """Open incidents to look at now, the longest due first, locked until the unit ends."""
    rows = await session.execute(
        select(IncidentRow)
        .where(IncidentRow.due_at <= now, IncidentRow.resolved_at.is_(None))
        .order_by(IncidentRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_open(row) for row in rows.scalars()]


async def one_open(session: AsyncSession, incident_id: UUID) -> OpenIncident | None:
    row = await session.get(IncidentRow, incident_id, populate_existing=True)
    return _open(row) if row is not None and row.resolved_at is None else None


async def open_incidents(
    session: AsyncSession, components: Collection[str], resolved_after: datetime
) -> list[Incident]:
    """Incidents of these components that are open, or were until a moment ago; the oldest first."""
    rows = await session.execute(
        select(IncidentRow.body)
        .where(
            IncidentRow.component.in_(components),
            or_(IncidentRow.resolved_at.is_(None), IncidentRow.resolved_at > resolved_after),
        )
        .order_by(IncidentRow.opened_at, IncidentRow.incident_id)
        .limit(OPEN_LIMIT)
    )
    return [Incident.model_validate(body) for body in rows.scalars()]


def _open(row: IncidentRow) -> OpenIncident:
    return OpenIncident(Incident.model_validate(row.body), row.opening)


async def prune(session: AsyncSession, now: datetime, keep: timedelta) -> None:
    """Forgets what is older than `keep`; open incidents stay."""
    limit = now - keep
    await session.execute(delete(IncidentRow).where(IncidentRow.resolved_at.is_not(None), IncidentRow.seen_at < limit))
    await session.execute(delete(DiagnosisRow).where(DiagnosisRow.created_at < limit, ~_is_open(DiagnosisRow)))
    await session.execute(delete(ChangeRow).where(ChangeRow.at < limit))
    await session.execute(delete(AnomalyRow).where(AnomalyRow.at < limit))
    await session.execute(delete(TelemetryRow).where(TelemetryRow.at < limit))


def _is_open(diagnosis: type[DiagnosisRow]) -> ColumnElement[bool]:
    return exists().where(IncidentRow.incident_id == diagnosis.incident_id, IncidentRow.resolved_at.is_(None))
