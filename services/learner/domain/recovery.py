"""How long the next recovery will take: from the opening of the case to its validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

_HIGH = 0.9


@dataclass(frozen=True, slots=True)
class Recovery:
    """Median, and the time that nine of ten don't exceed."""

    typical_s: float
    high_s: float


def recovery(times_s: Sequence[float], newest: int) -> Recovery | None:
    """From times of runs that helped, oldest first; only the newest count. None without one.

    >>> recovery([900.0, 900.0, 10.0, 12.0, 14.0], newest=3)
    Recovery(typical_s=12.0, high_s=14.0)
    """
    counted = sorted(times_s[-newest:])
    if not counted:
        return None
    return Recovery(round(median(counted), 3), round(counted[ceil(_HIGH * len(counted)) - 1], 3))
