"""When to go back to a provider that was left: a decision with hysteresis, not a timer.

Going back too early costs twice: the primary fails again, and payments are lost in both switches. So the primary must
have been well without a break for a while, counted anew after every trouble; traffic must have been on the backup for
that long too; and each way back within a day doubles the wait, so that a primary that comes and goes is left alone for
longer and longer (exponential back-off, as for a flapping route in BGP's damping, RFC 2439).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

REMEMBERED = timedelta(days=1)
"""Ways back older than this no longer count."""
MOST_DOUBLINGS = 8
SURE = 0.95
"""How likely the way back holds after the wait; what experience says comes with the learner's record."""


@dataclass(frozen=True, slots=True)
class Detour:
    """A component that uses another provider than its primary."""

    component: str
    primary: str
    in_use: str
    since: datetime
    """When it was first seen there."""
    return_after_s: float


def wait_s(return_after_s: float, returns: int) -> float:
    """How long the primary must be well after so many ways back within a day.

    >>> [wait_s(300, n) for n in (0, 1, 2, 100)]
    [300.0, 600.0, 1200.0, 76800.0]
    """
    return return_after_s * 2.0 ** min(returns, MOST_DOUBLINGS)


def due_at(detour: Detour, well_since: datetime | None, returns: Sequence[datetime], now: datetime) -> datetime | None:
    """When the way back may be taken; None while the primary is not well.

    `well_since`: since when the primary has been healthy without a break. `returns`: when ways back were tried.
    """
    if well_since is None:
        return None
    lately = [at for at in returns if now - at < REMEMBERED]
    begins = max([well_since, detour.since, *lately])
    return begins + timedelta(seconds=wait_s(detour.return_after_s, len(lately)))
