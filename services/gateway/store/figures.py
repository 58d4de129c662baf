"""Figures drawn from what happened: how often runs helped and how fast, and how many things are in which state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.store.tables import LatestRow


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something was tried and helped. Times are means in seconds over the runs that tell them."""

    name: str
    total: int
    successes: int
    rolled_back: int
    detect_to_fix_s: float | None
    detect_to_recovery_s: float | None


async def tallies(session: AsyncSession, field: str, since: datetime) -> list[Tally]:
    """Real outcomes since then, by a text field of theirs (`playbook`, `category`); dry runs and skips don't count."""
    body = LatestRow.body
    name, result = body[field].astext, body["result"].astext

    def seconds(until: str) -> ColumnElement[float]:
        span = cast(body[until].astext, DateTime(timezone=True)) - cast(
            body["opened_at"].astext, DateTime(timezone=True)
        )
        return func.avg(func.extract("epoch", span)).filter(result == "succeeded")

    query = (
        select(
            name,
            func.count(),
            func.count().filter(result == "succeeded"),
            func.count().filter(result == "rolled-back"),
            seconds("applied_at"),
            seconds("finished_at"),
        )
        .where(
            LatestRow.kind == "outcome",
            LatestRow.at >= since,
            result != "skipped",
            body["dry_run"].astext == "false",
        )
        .group_by(name)
        .order_by(func.count().desc(), name)
    )
    return [
        Tally(str(row[0]), row[1], row[2], row[3], _maybe_float(row[4]), _maybe_float(row[5]))
        for row in await session.execute(query)
    ]


def _maybe_float(value: object) -> float | None:
    return None if value is None else float(str(value))


async def by_status(session: AsyncSession, kind: str, since: datetime) -> dict[str, int]:
    """How many of `kind` have each status, of those whose newest state is from `since` or later."""
    query = (
        select(LatestRow.status, func.count())
        .where(LatestRow.kind == kind, LatestRow.at >= since)
        .group_by(LatestRow.status)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def ping(session: AsyncSession) -> None:
    """Asks the database for one row of the gateway's own."""
    await session.execute(select(literal(1)).select_from(LatestRow).limit(1))
