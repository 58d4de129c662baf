"""How far a series' predictions are to be believed, from how those before came out."""

from __future__ import annotations

from dataclasses import dataclass

PRIOR = 4.0
"""What is computed counts as so many predictions that came out as often as it says."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """Predictions of one series whose end is known: right are those that came true or were prevented."""

    right: int
    false: int


def believed(probability: float, record: TrackRecord | None) -> float:
    """The probability drawn towards how often predictions of this series were right; without a record as computed.

    >>> believed(0.9, None), believed(0.9, TrackRecord(right=1, false=11)), believed(0.5, TrackRecord(12, 0))
    (0.9, 0.2875, 0.875)
    """
    if record is None:
        return probability
    known = record.right + record.false
    return round((probability * PRIOR + record.right) / (PRIOR + known), 4)
