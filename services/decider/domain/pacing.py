"""When to look again, and how long a run may be silent."""

from __future__ import annotations

from shared.packs import Playbook, Step

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 15.0
LEASE_MARGIN_S = 300.0
"""For queueing, planning, backing up and delivery, beside what the playbook itself may take."""


def retry_s(tries: int) -> float:
    """Pause before a refused case is decided again: doubled each time, bounded.

    >>> [retry_s(n) for n in (0, 1, 2, 10)]
    [0.5, 1.0, 2.0, 15.0]
    """
    return min(FIRST_RETRY_S * 2.0 ** min(tries, 30), LONGEST_RETRY_S)


def lease_s(playbook: Playbook) -> float:
    """Longest time a run may take from order to outcome: every attempt at its steps, their undoing, its validation,
    and a margin."""
    once = sum(step.timeout_s for step in playbook.steps)
    again = sum(
        step.timeout_s + step.retry.pause_s(failed)
        for step in playbook.steps
        for failed in range(1, step.retry.attempts)
    )
    undoing = sum(step.rollback.timeout_s for step in playbook.steps if isinstance(step.rollback, Step))
    return 2 * once + again + undoing + playbook.validation.window_s + LEASE_MARGIN_S
