"""Doing something once a transaction has committed, and not if it hasn't."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session


def after_commit(session: AsyncSession, callback: Callable[[], None]) -> None:
    """Calls `callback` right after the commit of this session's transaction."""

    def committed(_session: Session) -> None:
        callback()

    event.listen(session.sync_session, "after_commit", committed, once=True)
