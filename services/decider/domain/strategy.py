"""Which of several playbooks is taken when all of them may be run alone: trying is learning, within what is safe.

There is no chance in it: what would be drawn comes from a hash of the case, so a decision can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Literal

from services.decider.domain.beta import beta_cdf, beta_quantile

STEPS = 100
"""Of the integral that gives a probability."""
LEAST_PROBABILITY = 0.001
OPTIMISM = 0.8
"""`ucb` takes the one whose chance may be the highest: each lies below its bound with this probability."""

type Strategy = Literal["fixed", "ab", "thompson", "ucb"]
STRATEGIES: tuple[Strategy, ...] = ("fixed", "ab", "thompson", "ucb")
type Posterior = tuple[float, float]
"""Pseudo-counts (successes, failures) of a Beta distribution, both above zero."""


def pick(strategy: Strategy, posteriors: Sequence[Posterior], seed: str) -> tuple[int, float]:
    """Index of the one taken, and the probability with which the strategy takes it. The first is the best by score.

    `seed` is the case and how often it was tried: the same gives the same pick.
    """
    if strategy == "fixed" or len(posteriors) < 2:
        return 0, 1.0
    if strategy == "ab":
        return int(uniform(seed) * 2), 0.5
    if strategy == "ucb":
        return upper(posteriors), 1.0
    shares = iter(uniform(f"{seed}/{place}") for place in range(len(posteriors)))
    chosen = thompson(posteriors, lambda helped, failed: beta_quantile(next(shares), helped, failed))
    return chosen, probability_of_best(posteriors, chosen)


def probabilities(strategy: Strategy, posteriors: Sequence[Posterior]) -> list[float]:
    """With which the strategy takes each of them, whatever the seed; they sum to 1.

    >>> probabilities("ab", [(9.0, 1.0), (8.0, 2.0), (1.0, 1.0)])
    [0.5, 0.5, 0.0]
    """
    places = range(len(posteriors))
    if strategy == "fixed" or len(posteriors) < 2:
        return [float(place == 0) for place in places]
    if strategy == "ab":
        return [0.5 if place < 2 else 0.0 for place in places]
    if strategy == "ucb":
        best = upper(posteriors)
        return [float(place == best) for place in places]
    found = [probability_of_best(posteriors, place) for place in places]
    return [one / sum(found) for one in found]


def upper(posteriors: Sequence[Posterior]) -> int:
    """The one with the highest upper bound, the earlier where they are equal (Kaufmann, Cappé and Garivier 2012, with a
    bound that stays: what helps may change, so that nothing is ever known for good).

    >>> upper([(8.0, 2.0), (2.0, 1.0), (8.0, 2.0)])
    1
    """
    bounds = [beta_quantile(OPTIMISM, max(helped, 1e-3), max(failed, 1e-3)) for helped, failed in posteriors]
    return max(range(len(bounds)), key=bounds.__getitem__)


def thompson(posteriors: Sequence[Posterior], draw: Callable[[float, float], float]) -> int:
    """Draws a chance to help of each, and takes the highest (Thompson 1933)."""
    drawn = [draw(max(helped, 1e-3), max(failed, 1e-3)) for helped, failed in posteriors]
    return max(range(len(drawn)), key=drawn.__getitem__)


def probability_of_best(posteriors: Sequence[Posterior], index: int) -> float:
    """With which a draw of this one is the highest: the integral of its density times the others' distributions.

    >>> round(probability_of_best([(2.0, 2.0), (2.0, 2.0)], 0), 2)
    0.5
    """
    steps = [step / STEPS for step in range(STEPS + 1)]
    total = 0.0
    for low, high in pairwise(steps):
        mass = beta_cdf(high, *posteriors[index]) - beta_cdf(low, *posteriors[index])
        for place, other in enumerate(posteriors):
            if place != index and mass > 0.0:
                mass *= (beta_cdf(low, *other) + beta_cdf(high, *other)) / 2
        total += mass
    return min(max(round(total, 4), LEAST_PROBABILITY), 1.0)


def uniform(seed: str) -> float:
    """Between 0 and 1, exclusive."""
    return (int.from_bytes(sha256(seed.encode()).digest()[:6]) + 0.5) / 2**48
