"""One word for the health of many parts."""

from __future__ import annotations

from collections.abc import Iterable

_WORST_FIRST = ("critical", "warning", "unknown", "healthy")


def overall(statuses: Iterable[str]) -> str:
    """The worst of `healthy`, `unknown`, `warning`, `critical`; without any part `unknown`."""
    present = set(statuses)
    return next((status for status in _WORST_FIRST if status in present), "unknown")
