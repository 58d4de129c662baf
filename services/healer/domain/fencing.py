"""Whether a run may still touch its component: asked before every step, every repetition, and every undoing.

A process may be paused, cut off or replaced between any two of its lines. So it is not enough that a run was allowed to
begin: its lease must be the newest of its component, must last until the step has ended, and must be this process's to
use. `SKEW_S` is how far the clocks of healer and decider may be apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SKEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Lease:
    """What is known of a component's newest lease. `epoch` 0: nothing."""

    epoch: int = 0
    until: datetime | None = None
    over: bool = False
    """Released, or lapsed."""

    def heard(self, other: Lease) -> Lease:
        """The newer of the two; of the same lease what holds for longer, unless it is over."""
        if other.epoch != self.epoch:
            return other if other.epoch > self.epoch else self
        ends = [until for until in (self.until, other.until) if until is not None]
        return Lease(self.epoch, max(ends, default=None), self.over or other.over)


def fenced(epoch: int, newest: Lease, holder: str, me: str, now: datetime, needs_s: float) -> str:
    """Why a run under lease `epoch` may begin nothing that takes up to `needs_s`; empty when it may.

    `epoch` 0 is a run without a lease: only its holder counts.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> fenced(3, Lease(3, noon + timedelta(seconds=60)), "me", "me", noon, 30.0)
    ''
    >>> fenced(3, Lease(4, noon + timedelta(seconds=60)), "me", "me", noon, 30.0)
    'its lease 3 was followed by lease 4'
    """
    if holder != me:
        return "another process carries it out now"
    if epoch == 0:
        return ""
    if newest.epoch > epoch:
        return f"its lease {epoch} was followed by lease {newest.epoch}"
    if newest.over:
        return f"its lease {epoch} was taken back"
    if newest.until is not None and now + timedelta(seconds=needs_s + SKEW_S) > newest.until:
        return f"its lease {epoch} ends at {newest.until:%H:%M:%S} UTC, before this could be done"
    return ""
