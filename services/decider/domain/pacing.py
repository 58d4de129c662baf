"""When to look again."""

from __future__ import annotations

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 15.0


def retry_s(tries: int) -> float:
    """Pause before a refused case is decided again: doubled each time, bounded.

    >>> [retry_s(n) for n in (0, 1, 2, 10)]
    [0.5, 1.0, 2.0, 15.0]
    """
    return min(FIRST_RETRY_S * 2.0 ** min(tries, 30), LONGEST_RETRY_S)
