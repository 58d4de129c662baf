"""When a message goes out, and what goes into it: grouping, rate limits and retries, so that a storm stays readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

RATE_WINDOW = timedelta(seconds=60)
MOST_IN_ONE = 100
MOST_ATTEMPTS = 12
LONGEST_RETRY_S = 600.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that has not been sent. `batch`: the message it was last tried in, which is repeated as it was."""

    id: UUID
    created_at: datetime
    due_at: datetime
    is_question: bool
    case_id: UUID
    opens: bool = False
    """It begins what a later notice of the same case may end."""
    ends: bool = False
    batch: UUID | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    group_s: float
    per_minute: int
    single: bool
    """The receiver groups by itself: one notice a message, in the order of each case."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`send`: the next message's notices (none: nothing yet); `drop`: what needn't be told any more."""

    send: tuple[UUID, ...] = ()
    batch: UUID | None = None
    """Set when a message is repeated."""
    drop: tuple[UUID, ...] = ()


def plan(waiting: Sequence[Waiting], sent_lately: int, limits: Limits, now: datetime) -> Plan:
    """What to send next on one channel. `waiting` oldest first; `sent_lately`: messages within RATE_WINDOW.

    A repetition goes first, then a question (never grouped: it has buttons and a deadline), then everything that has
    waited for `group_s`, together with what came after it.
    """
    drop = superseded(waiting) if limits.single else ()
    left = [one for one in waiting if one.id not in drop]
    if sent_lately >= limits.per_minute:
        return Plan(drop=drop)
    again = next((one for one in left if one.batch is not None and one.due_at <= now), None)
    if again is not None:
        together = tuple(one.id for one in left if one.batch == again.batch)
        return Plan(together, again.batch, drop)
    fresh = [one for one in left if one.batch is None]
    question = next((one for one in fresh if one.is_question), None)
    if question is not None and not limits.single:
        return Plan((question.id,), None, drop)
    if limits.single:
        held = {one.case_id for one in left if one.batch is not None}
        first = next((one for one in fresh if one.case_id not in held), None)
        return Plan((first.id,) if first else (), None, drop)
    if fresh and now - fresh[0].created_at >= timedelta(seconds=limits.group_s):
        return Plan(tuple(one.id for one in fresh[:MOST_IN_ONE]), None, drop)
    return Plan(drop=drop)


def superseded(waiting: Sequence[Waiting]) -> tuple[UUID, ...]:
    """Beginnings that were never tried and whose end waits too, with all of their case: nobody heard of it yet."""
    tried = {one.case_id for one in waiting if one.batch is not None}
    opened = {one.case_id for one in waiting if one.opens and one.batch is None} - tried
    ended = {one.case_id for one in waiting if one.ends} & opened
    return tuple(one.id for one in waiting if one.case_id in ended)


def retry_s(attempts: int, asked_for_s: float | None = None) -> float | None:
    """Pause after so many failed attempts, doubled each time; None: it is given up. The receiver may ask for more.

    >>> [retry_s(n) for n in (1, 2, 3, 9, 12)]
    [2.0, 4.0, 8.0, 512.0, None]
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    return min(max(2.0**attempts, asked_for_s or 0.0), LONGEST_RETRY_S)
