"""One replica learns at a time."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

_TAKEN = "learner:turn"


async def take(session: AsyncSession) -> None:
    """Waits until no other unit of work learns, and keeps others waiting until this one ends: the first thing that
    whatever writes here does.

    A unit of work handles a batch of events, each of which changes rows of a case and of a pair of signature and
    playbook. Two replicas meet these in different orders, so that locks of their own would have each wait for what
    the other holds.
    """
    if session.info.get(_TAKEN):
        return
    session.info[_TAKEN] = True
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(_TAKEN))))
