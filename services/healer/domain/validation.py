"""Whether what was applied has helped: judged by the signals that raised the case, over a window that has an end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.healer.domain.runs import Reason

LATE_SHARE = 0.25
"""The second half lasts at least this share of the window, however late its beginning was seen."""
TELLING_LAG_S = 1.2
"""Errors are told up to this long after they happened (the detector tells a growing count once a second)."""

PATIENCE = timedelta(seconds=20)
"""How long a window that ends without evidence is kept open: a restarted detector is back sooner."""


class Cleared(StrEnum):
    """What is known of the case that a run is for."""

    YES = "yes"
    NO = "no"
    UNSEEN = "unseen"
    """Not said to be over, and nothing bad seen since the first half: whoever watches may just be away."""
    UNKNOWN = "unknown"
    """Nothing was ever heard of it: no reason to hold against the run."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time after applying in which the effect is watched.

    The first half is for settling: errors in it are the tail of the incident. Errors count in the second half.
    """

    applied_at: datetime
    window_s: float

    @property
    def half_at(self) -> datetime:
        return self.applied_at + timedelta(seconds=self.window_s / 2)

    @property
    def baseline_at(self) -> datetime:
        """When to read the errors of the first half: not before they have been told."""
        return self.half_at + timedelta(seconds=min(TELLING_LAG_S, self.window_s * LATE_SHARE))

    @property
    def deadline(self) -> datetime:
        return self.applied_at + timedelta(seconds=self.window_s)

    def ends_at(self, baseline_at: datetime) -> datetime:
        """The deadline, unless the healer was away when the second half began: no evidence is no health."""
        return max(self.deadline, baseline_at + timedelta(seconds=self.window_s * LATE_SHARE))


REMEMBERED = 240


@dataclass(slots=True)
class ErrorHistory:
    """A component's errors as they were told, each count with the time up to which it holds.

    Whoever counts may be away and tell late: what it then tells of the first half must not count in the second.

    >>> history, begin = ErrorHistory(), datetime(2026, 1, 1)
    >>> for second, count in ((0, 5), (2, 9), (4, 9)):
    ...     history.tell(begin + timedelta(seconds=second), count)
    >>> history.newest, history.until(begin + timedelta(seconds=3)), history.until(begin - timedelta(seconds=1))
    (9, 9, 0)
    """

    newest: int = 0
    """Errors ever seen."""
    _told: deque[tuple[datetime, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def tell(self, at: datetime, count: int) -> None:
        if count < self.newest:
            self._told.clear()  # whoever counts has begun anew
        self.newest = count
        self._told.append((at, count))

    def until(self, moment: datetime) -> int:
        """Errors told of by now that had happened by then; 0 when nothing older is remembered."""
        return max((count for at, count in self._told if at <= moment), default=0)


def errors_between(baseline: int, now: int) -> int:
    """Errors from one reading of a growing counter to the next; a counter that fell has begun anew.

    >>> errors_between(10, 12), errors_between(10, 3)
    (2, 3)
    """
    return now - baseline if now >= baseline else now


def standing(*, is_open: bool, seen_bad_at: datetime | None, half_at: datetime) -> Cleared:
    """What the newest word on a case says at the end of a window whose second half began at `half_at`."""
    if not is_open:
        return Cleared.YES
    return Cleared.UNSEEN if seen_bad_at is not None and seen_bad_at <= half_at else Cleared.NO


def doomed(errors: int, allowed: int) -> bool:
    """True when no further waiting can make the run valid."""
    return errors > allowed


def verdict(cleared: Cleared, errors: int, allowed: int) -> Reason:
    """`HEALED`, or why not, at the end of the window."""
    if doomed(errors, allowed):
        return Reason.ERRORS_CONTINUED
    return Reason.NOT_CLEARED if cleared in (Cleared.NO, Cleared.UNSEEN) else Reason.HEALED
