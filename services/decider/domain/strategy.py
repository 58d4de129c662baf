"""Which of several playbooks is taken when all of them may be run alone: trying is learning, within what is safe."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

DRAWS = 200
"""Draws that a probability is estimated from."""

type Strategy = Literal["fixed", "ab", "thompson"]
type Posterior = tuple[float, float]
"""Pseudo-counts (successes, failures) of a Beta distribution, both above zero."""


def pick(strategy: Strategy, posteriors: Sequence[Posterior], seed: str) -> tuple[int, float]:
    """Index of the one taken, and the probability with which the strategy takes it. The first is the best by score.

    The same seed (the case and how often it was tried) gives the same pick: a decision can be made again.
    """
    if strategy == "fixed" or len(posteriors) < 2:
        return 0, 1.0
    if strategy == "ab":
        return Random(seed).randrange(2), 0.5
    chosen = thompson(posteriors, Random(seed))
    imagined = Random(f"{seed}/probability")
    times = sum(thompson(posteriors, imagined) == chosen for _ in range(DRAWS))
    return chosen, max(times, 1) / DRAWS


def thompson(posteriors: Sequence[Posterior], rng: Random) -> int:
    """Draws a chance to help of each, and takes the highest (Thompson 1933)."""
    drawn = [rng.betavariate(max(helped, 1e-3), max(failed, 1e-3)) for helped, failed in posteriors]
    return max(range(len(drawn)), key=drawn.__getitem__)
