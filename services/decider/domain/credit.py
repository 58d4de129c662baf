"""What acting was worth: incidents that were acted on beside those that were left alone at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Observed:
    """One case of the trial: whether it was held off, with which probability, and when it was over.

    `over_s`: seconds from the decision to the incident's end; None: not within the time that was looked at.
    """

    playbook: str
    held: bool
    share: float
    over_s: float | None


@dataclass(frozen=True, slots=True)
class Arm:
    """`rate`: share of the cases that were over in time, each weighted by how unlikely its arm was."""

    cases: int
    rate: float
    effective: float
    """So many equally weighted cases would say as much (Kish 1965)."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How much more often an incident was over in time because it was acted on, with a 95 % interval."""

    acted: Arm
    held: Arm
    value: float
    low: float
    high: float


def effect(observed: Sequence[Observed]) -> Effect | None:
    """Difference of the weighted shares (Hájek 1971), its interval by Newcombe's hybrid of two score intervals (1998).

    None until both arms have a case.

    >>> both = [Observed("p", False, 0.5, 3.0)] * 50 + [Observed("p", True, 0.5, None)] * 50
    >>> found = effect(both)
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (1.0, 0.9, 1.0)
    """
    acted, held = _arm(observed, held=False), _arm(observed, held=True)
    if acted is None or held is None:
        return None
    value = acted.rate - held.rate
    (acted_low, acted_high), (held_low, held_high) = score_interval(acted), score_interval(held)
    below = sqrt((acted.rate - acted_low) ** 2 + (held_high - held.rate) ** 2)
    above = sqrt((acted_high - acted.rate) ** 2 + (held.rate - held_low) ** 2)
    return Effect(acted, held, value, max(value - below, -1.0), min(value + above, 1.0))


def score_interval(arm: Arm) -> tuple[float, float]:
    """Of a share, by the score test (Wilson 1927)."""
    n, z = arm.effective, NORMAL_95
    centre = (arm.rate + z * z / (2 * n)) / (1 + z * z / n)
    spread = z * sqrt(arm.rate * (1 - arm.rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def _arm(observed: Sequence[Observed], *, held: bool) -> Arm | None:
    mine = [one for one in observed if one.held is held]
    weights = [1.0 / (one.share if held else 1.0 - one.share) for one in mine]
    whole = sum(weights)
    if not mine:
        return None
    rate = sum(w for w, one in zip(weights, mine, strict=True) if one.over_s is not None) / whole
    return Arm(len(mine), rate, whole**2 / sum(w * w for w in weights))
