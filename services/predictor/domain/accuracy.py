"""How good predictions were, from what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from services.predictor.domain.watch import Reason


class Fate(StrEnum):
    """What became of a prediction."""

    OPEN = "open"
    REACHED = "reached"
    PREVENTED = "prevented"
    FAILED = "failed"
    LAPSED = "lapsed"
    """The climb ended by itself: a false alarm."""
    ENDED = "ended"
    """Nobody knows what would have come."""


_FATES = {
    Reason.REACHED: Fate.REACHED,
    Reason.FLAT: Fate.LAPSED,
    Reason.RESET: Fate.ENDED,
    Reason.NO_DATA: Fate.ENDED,
    Reason.UNWATCHED: Fate.ENDED,
}


def fate_of(reason: Reason) -> Fate:
    """What a revision says about the fate; a repair's outcome may yet say more."""
    return _FATES.get(reason, Fate.OPEN)


@dataclass(frozen=True, slots=True)
class Record:
    """One prediction: the seconds told when it was opened, and the true ones where the limit was reached."""

    fate: Fate
    eta_s: float
    eta_low_s: float
    eta_high_s: float
    true_s: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares are None where nothing can be said yet."""

    counts: dict[Fate, int]
    precision: float | None
    prevention: float | None
    in_interval: float | None
    eta_error: float | None


def accuracy(records: Sequence[Record]) -> Accuracy:
    """Precision counts a climb that ended by itself as wrong, and one ended by a restart not at all."""
    found = Counter(record.fate for record in records)
    right = found[Fate.REACHED] + found[Fate.PREVENTED] + found[Fate.FAILED]
    told = [(record, record.true_s) for record in records if record.true_s]
    return Accuracy(
        {fate: found[fate] for fate in Fate},
        _share(right, right + found[Fate.LAPSED]),
        _share(found[Fate.PREVENTED], right),
        _share(sum(record.eta_low_s <= true_s <= record.eta_high_s for record, true_s in told), len(told)),
        median(abs(record.eta_s - true_s) / true_s for record, true_s in told) if told else None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
