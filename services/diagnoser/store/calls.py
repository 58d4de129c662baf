"""Calls between components that were observed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    case,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.diagnoser.domain.topology import Observed
from services.diagnoser.store.models import (
    CallsRow,
)

CALLS_LIMIT = 10_000
"""Observed calls that the graph is made of."""


@dataclass(frozen=True, slots=True)
class CallsSeen:
    """Calls from one component to another that were just told of."""

    caller: str
    callee: str
    count: int
    errors: int
    duration_sum_ms: float
    at: datetime


async def take_calls(session: AsyncSession, calls: CallsSeen, since: datetime) -> int:
    """Adds them up and returns how many there are now; calls not seen after `since` begin anew."""
    new = insert(CallsRow).values(
        caller=calls.caller,
        callee=calls.callee,
        count=calls.count,
        errors=calls.errors,
        duration_sum_ms=calls.duration_sum_ms,
        first_seen=calls.at,
        last_seen=calls.at,
    )
    still = CallsRow.last_seen >= since
    sums = {
        name: case((still, getattr(CallsRow, name) + new.excluded[name]), else_=new.excluded[name])
        for name in ("count", "errors", "duration_sum_ms")
    }
    statement = new.on_conflict_do_update(
        index_elements=["caller", "callee"],
        set_={
            **sums,
            "first_seen": case((still, CallsRow.first_seen), else_=new.excluded.first_seen),
            "last_seen": func.greatest(CallsRow.last_seen, new.excluded.last_seen),
        },
    ).returning(CallsRow.count)
    return (await session.execute(statement)).scalar_one()


async def observed_calls(session: AsyncSession, since: datetime, min_count: int) -> list[Observed]:
    """Those seen since then and often enough, the latest if there are too many."""
    rows = await session.execute(
        select(CallsRow.caller, CallsRow.callee, CallsRow.count, CallsRow.last_seen)
        .where(CallsRow.last_seen >= since, CallsRow.count >= min_count)
        .order_by(CallsRow.last_seen.desc(), CallsRow.caller, CallsRow.callee)
        .limit(CALLS_LIMIT)
    )
    return [Observed(*row) for row in rows]


async def prune_calls(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(CallsRow).where(CallsRow.last_seen < before))
