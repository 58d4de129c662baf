"""From which confidence on a playbook may act alone: what a lower or higher threshold would have done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from services.learner.domain.outcomes import Attempt

_TARGET = 0.9
_EVIDENCE = 20
_CANDIDATES = tuple(percent / 100 for percent in range(50, 100))
MOST_WRONG = 0.1
"""Share of the actions done alone that may be wrong (requirement D18: decisions are right in more than nine of ten)."""
DOWN, UP = 0.05, 0.10
"""At most so far in one step (requirement J07)."""
LOWEST, HIGHEST = 0.5, 0.99


@dataclass(frozen=True, slots=True)
class Gated:
    """One decision that nothing but the threshold kept from acting alone, or let act."""

    confidence: float
    right: bool | None
    """It helped, or a person approved and it did; False also where a person said no. None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a threshold does with recorded decisions."""

    alone: float
    """Share that acts without a person."""
    known: int
    """Of these, how many it is known of whether they were right."""
    wrong: float | None
    wrong_low: float
    wrong_high: float
    """Share of them that was wrong, and its 95 % interval (Wilson)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another threshold for a playbook, with what both did on the record."""

    now: float
    proposed: float
    effect_now: Effect
    effect: Effect
    reason: str


def effect(decisions: Sequence[Gated], threshold: float) -> Effect:
    """Of a threshold on these decisions."""
    above = [one for one in decisions if one.confidence >= threshold]
    known = [one.right for one in above if one.right is not None]
    wrong = known.count(False)
    low, high = wilson(wrong, len(known))
    share = len(above) / len(decisions) if decisions else 0.0
    return Effect(share, len(known), wrong / len(known) if known else None, low, high)


def propose(decisions: Sequence[Gated], now: float) -> Proposal | None:
    """Lower where it is certain that no more than one action in ten would be wrong and more would be done alone,
    higher where more than one in ten is certain to be wrong now; None: the threshold may stay."""
    present = effect(decisions, now)
    if present.wrong_low > MOST_WRONG:
        steps = [round(now + percent / 100, 2) for percent in range(1, round(UP * 100) + 1)]
        candidates = [step for step in steps if step <= HIGHEST]
        better = [step for step in candidates if (effect(decisions, step).wrong or 0.0) <= MOST_WRONG]
        if not candidates:
            return None
        chosen = better[0] if better else candidates[-1]
        return Proposal(now, chosen, present, effect(decisions, chosen), "too many of its actions alone were wrong")
    steps = [round(now - percent / 100, 2) for percent in range(round(DOWN * 100), 0, -1)]
    for step in steps:
        found = effect(decisions, step)
        more = found.known > present.known and found.alone > present.alone
        if step >= LOWEST and more and found.wrong_high <= MOST_WRONG:
            return Proposal(now, step, present, found, "what it asked for was right as well")
    return None


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share.

    >>> [round(end, 3) for end in wilson(0, 35)]
    [0.0, 0.099]
    """
    if of == 0:
        return 0.0, 1.0
    share = count / of
    centre = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    whole = 1 + z * z / of
    return max(0.0, (centre - spread) / whole), min(1.0, (centre + spread) / whole)


def proposed_threshold(attempts: Sequence[Attempt]) -> float | None:
    """The lowest confidence from which on nine of ten attempts helped, on at least twenty.

    None without that evidence. It can't go below what has been tried: what was not tried is not known.
    """
    if len(attempts) < _EVIDENCE:
        return None
    lowest = min(attempt.confidence for attempt in attempts)
    for threshold in _CANDIDATES:
        above = [attempt for attempt in attempts if attempt.confidence >= threshold]
        if len(above) < _EVIDENCE:
            return None
        if threshold >= lowest - 0.01 and sum(attempt.success for attempt in above) >= _TARGET * len(above):
            return threshold
    return None
