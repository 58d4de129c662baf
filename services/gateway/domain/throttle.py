"""A bound on how much a stranger can make the gateway write."""

from __future__ import annotations

from datetime import datetime, timedelta


class Throttle:
    """Lets `most` things pass in any window of `window_s` and counts the rest.

    The count is given to the next one that passes, so that nothing goes unnoticed.
    """

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window = timedelta(seconds=window_s)
        self._passed: list[datetime] = []
        self._held_back = 0

    def pass_at(self, now: datetime) -> int | None:
        """None: held back. Otherwise how many were held back before this one."""
        self._passed = [at for at in self._passed if now - at < self._window]
        if len(self._passed) >= self._most:
            self._held_back += 1
            return None
        self._passed.append(now)
        held_back, self._held_back = self._held_back, 0
        return held_back
