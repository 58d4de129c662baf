"""How far each series has been taken, so that what is sent twice counts once."""

from __future__ import annotations


class SeenSeries:
    """The newest time of each series, of about the last `most` series touched. What fell out of memory is taken again:
    the detector leaves repeated times out as well."""

    def __init__(self, most: int = 400_000) -> None:
        self._half = max(1, most // 2)
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def newest(self, series: int) -> int | None:
        known = self._young.get(series)
        return self._old.get(series) if known is None else known

    def note(self, series: int, at_ms: int) -> None:
        """To be told only of what is safely stored: what is noted here is not taken again."""
        before = self.newest(series)
        self._young[series] = at_ms if before is None else max(before, at_ms)
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
