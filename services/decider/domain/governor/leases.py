"""How long a component is one run's: a lease that the run has renewed while it works, and that lapses in silence.

An epoch tells an old holder from a new one (Kleppmann, "How to do distributed locking", 2016): whoever acts carries the
epoch of its lease and refuses to act once it has heard of a higher one, however long it was paused in between.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.packs import Playbook, Step

LEASE_MARGIN_S = 300.0
"""For queueing, planning, backing up, delivery, and a healer that is started anew, beside what the steps may take."""


def lease_s(playbook: Playbook) -> float:
    """How long a run may be silent: every attempt at its steps, their undoing, and a margin. The watching between them
    renews it."""
    once = sum(step.timeout_s for step in playbook.steps)
    again = sum(
        step.timeout_s + step.retry.pause_s(failed)
        for step in playbook.steps
        for failed in range(1, step.retry.attempts)
    )
    undoing = sum(step.rollback.timeout_s for step in playbook.steps if isinstance(step.rollback, Step))
    return 2 * once + again + undoing + LEASE_MARGIN_S


def renewed_until(until: datetime, now: datetime, length_s: float) -> datetime:
    """The end of a lease of `length_s` that is renewed now: never earlier than it was.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> str(renewed_until(noon, noon - timedelta(minutes=1), 600.0))
    '2026-01-01 12:09:00'
    """
    return max(until, now + timedelta(seconds=length_s))
