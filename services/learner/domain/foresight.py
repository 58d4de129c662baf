"""How predictions of one series came out, and which failures nobody foretold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.learner.domain.thresholds import wilson


class Came(StrEnum):
    """What became of one prediction, or of a failure without one."""

    OPEN = "open"
    HIT = "hit"
    """What was foretold came, or an incident of that series did."""
    PREVENTED = "prevented"
    """A repair helped before it came."""
    FALSE = "false"
    """The climb ended by itself."""
    UNKNOWN = "unknown"
    """A restart, silence or a change of the pack ended it."""
    MISSED = "missed"
    """An incident of a watched series that nobody foretold."""


_ENDS = {"reached": Came.HIT, "flat": Came.FALSE, "reset": Came.UNKNOWN}


def ended_as(reason: str) -> Came:
    """From the reason of a prediction's last revision."""
    return _ENDS.get(reason, Came.UNKNOWN)


def settled(before: Came, now: Came) -> Came:
    """Of two things known of one prediction the one that says more: that it came goes before that it was prevented,
    and both before how its climb ended."""
    order = (Came.HIT, Came.PREVENTED, Came.FALSE, Came.UNKNOWN, Came.OPEN)
    return min(before, now, key=order.index)


@dataclass(frozen=True, slots=True)
class Record:
    """Of one series."""

    hits: int
    prevented: int
    false: int
    missed: int
    precision: float | None
    precision_low: float
    precision_high: float
    recall: float | None


def record(came: Iterable[Came]) -> Record:
    """Precision is (hits + prevented) of those and the false; recall of those and the missed."""
    found = list(came)
    right = found.count(Came.HIT) + found.count(Came.PREVENTED)
    false, missed = found.count(Came.FALSE), found.count(Came.MISSED)
    low, high = wilson(right, right + false)
    return Record(
        hits=found.count(Came.HIT),
        prevented=found.count(Came.PREVENTED),
        false=false,
        missed=missed,
        precision=right / (right + false) if right + false else None,
        precision_low=round(low, 4),
        precision_high=round(high, 4),
        recall=right / (right + missed) if right + missed else None,
    )
