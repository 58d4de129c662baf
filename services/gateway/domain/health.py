"""One word for the health of many parts."""

from __future__ import annotations

from collections.abc import Iterable

_WORST_FIRST = ("critical", "warning", "unknown", "healthy")


def overall(statuses: Iterable[str]) -> str:
    """The worst of `healthy`, `unknown`, `warning`, `critical`; without any part `unknown`."""
    present = set(statuses)
    return next((status for status in _WORST_FIRST if status in present), "unknown")


def confidence(statuses: Iterable[str]) -> float:
    """How sure the whole picture is: the share of its parts whose health is known; without any part 0.

    >>> confidence(["healthy", "critical", "unknown", "healthy"])
    0.75
    """
    parts = list(statuses)
    return sum(status != "unknown" for status in parts) / len(parts) if parts else 0.0
