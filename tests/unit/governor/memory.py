"""Tables in memory with units of work that keep everything or nothing, and a process that may die around a commit.

The rows are the services' own; only the queries are stood in for. That the real ones give the same is tried with a real
PostgreSQL in tests/integration/test_governor.py and test_decider.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import inspect

from shared.contracts.base import Event


class Crash(BaseException):
    """The process dies here: nothing in it may catch this."""


class BrokenError(pytest.fail.Exception):
    """Something happened that never may. No `except Exception` of what is tested can hide it."""


class Pause:
    """Awaited where a process may be stopped, killed, or others go first."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __await__(self) -> Iterator[str]:
        yield self.where


@dataclass
class Database:
    """Rows by class and key. `unique`: per class, what no two rows may have in common."""

    unique: dict[type, Callable[[Any], object | None]]
    rows: dict[type, dict[object, Any]] = field(default_factory=dict)
    seen: set[object] = field(default_factory=set)
    """The inbox."""
    commits: int = 0

    def table(self, kind: type) -> dict[object, Any]:
        return self.rows.setdefault(kind, {})

    def add(self, key: object, row: Any) -> None:
        table = self.table(type(row))
        if key in table:
            raise BrokenError(f"a second {type(row).__name__} {key}")
        table[key] = row

    def check(self) -> None:
        for kind, of in self.unique.items():
            taken = [value for row in self.table(kind).values() if (value := of(row)) is not None]
            if len(taken) != len(set(taken)):
                raise BrokenError(f"two rows of {kind.__name__} that exclude each other: {sorted(map(str, taken))}")

    def snapshot(self) -> tuple[Any, set[object], int]:
        kept = {kind: {key: _copy(row) for key, row in table.items()} for kind, table in self.rows.items()}
        return kept, set(self.seen), self.commits

    def restore(self, snapshot: tuple[Any, set[object], int]) -> None:
        """Nothing is taken back once a unit within this one has been kept."""
        kept, seen, commits = snapshot
        if commits != self.commits:
            return
        self.seen = seen
        self.rows = kept


def _copy(row: Any) -> Any:
    """A row as it is now; its values are never changed in place."""
    if isinstance(row, int):
        return row
    return type(row)(**{column.key: getattr(row, column.key) for column in inspect(type(row)).columns})


@dataclass
class Session:
    db: Database
    after: list[Callable[[], None]] = field(default_factory=list)

    async def flush(self) -> None:
        self.db.check()


@dataclass
class Unit:
    """As `shared.outbox.Unit`, with events instead of messages."""

    session: Session
    now: datetime
    source: str
    sent: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.sent.append(event)


@dataclass
class Faults:
    """What befalls the next commit: nothing, or the process dies before it or right after it."""

    next: str = ""

    def strike(self, moment: str) -> None:
        if self.next == moment:
            self.next = ""
            raise Crash(moment)


@dataclass
class Units:
    service: str
    db: Database
    clock: Callable[[], datetime]
    publish: Callable[[Iterable[Event]], None]
    faults: Faults

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        snapshot = self.db.snapshot()
        unit = Unit(Session(self.db), self.clock(), self.service)
        try:
            yield unit
            self.db.check()
            self.faults.strike("before-commit")
        except BaseException:
            self.db.restore(snapshot)
            raise
        self.db.commits += 1
        self.publish(unit.sent)  # the outbox is committed with the rest, and swept: what is kept is told
        self.faults.strike("after-commit")
        for hook in unit.session.after:
            hook()
