"""Versions of packs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.store.tables import PackRow

_LOCK = 3_205_114


async def lock(session: AsyncSession) -> None:
    """One change of packs at a time: names of components are unique over all of them."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def heads(session: AsyncSession) -> Sequence[PackRow]:
    """The newest version of every pack that there ever was."""
    query = select(PackRow).ext(distinct_on(PackRow.name)).order_by(PackRow.name, PackRow.version.desc())
    return (await session.execute(query)).scalars().all()


async def head(session: AsyncSession, name: str) -> PackRow | None:
    query = select(PackRow).where(PackRow.name == name).order_by(PackRow.version.desc()).limit(1)
    return (await session.execute(query)).scalar()


async def versions(session: AsyncSession, name: str, limit: int) -> Sequence[PackRow]:
    """Newest first."""
    query = select(PackRow).where(PackRow.name == name).order_by(PackRow.version.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def add_version(
    session: AsyncSession, name: str, version: int, now: datetime, by: str, body: dict[str, JsonValue] | None
) -> PackRow:
    row = PackRow(name=name, version=version, applied_at=now, applied_by=by, body=body)
    session.add(row)
    return row
