"""What series told of components."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.domain.ranking import Deviation, Kind, Seen
from services.diagnoser.domain.ranking.watch import Told as TelemetryTold
from services.diagnoser.store.models import (
    OPEN_LIMIT,
    TelemetryRow,
)


async def save_telemetry(session: AsyncSession, told: TelemetryTold) -> bool:
    """Keeps the newest of a component; True when a trouble is new. What is usual again leaves the last trouble there:
    an incident that is still open began with it."""
    usual = {"levels": dict(told.seen.levels), "kinds": sorted(told.seen.kinds)}
    values: dict[str, Any] = {"usual": usual, "at": datetime.fromtimestamp(told.at_s, UTC)}
    if told.noticed_s is not None:
        values["noticed_at"] = datetime.fromtimestamp(told.noticed_s, UTC)
        values["deviations"] = [asdict(one) for one in told.seen.deviations]
    known = await session.get(TelemetryRow, told.seen.component, populate_existing=True)
    first = {"noticed_at": None, "deviations": []} | values
    statement = insert(TelemetryRow).values(component=told.seen.component, **first)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["component"], set_=values, where=TelemetryRow.at <= statement.excluded.at
        )
    )
    before = known.noticed_at if known is not None and known.deviations else None
    return bool(told.seen.deviations) and before != values.get("noticed_at")


async def telemetry_of(session: AsyncSession, components: Collection[str], since: datetime) -> list[Seen]:
    rows = await session.execute(
        select(TelemetryRow)
        .where(TelemetryRow.component.in_(components), TelemetryRow.at >= since)
        .order_by(TelemetryRow.component)
        .limit(OPEN_LIMIT)
    )
    return [_seen(row) for row in rows.scalars()]


def _seen(row: TelemetryRow) -> Seen:
    found = tuple(Deviation(**{**one, "kind": Kind(one["kind"])}) for one in row.deviations)
    return Seen(row.component, found, row.usual["levels"], frozenset(map(Kind, row.usual["kinds"])))
