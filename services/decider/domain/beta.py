"""The Beta distribution, as far as decisions need it: how sure so many successes of so many runs make us."""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p

_TINY = 1e-300
_PRECISION = 1e-12
_MOST_TERMS = 500
_HALVINGS = 40
LEAST_SURE, MOST_SURE = 1e-4, 1.0 - 1e-4
"""Certainty has no Beta distribution: what is surer, or less sure, counts as this."""


@lru_cache(maxsize=16_384)
def beta_cdf(x: float, a: float, b: float) -> float:
    """Share of Beta(a, b) below `x`: the regularised incomplete beta function by its continued fraction (Lentz).

    >>> round(beta_cdf(0.5, 2.0, 2.0), 6), round(beta_cdf(0.3, 1.0, 1.0), 6)
    (0.5, 0.3)
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return min(1.0, front * _fraction(x, a, b) / a)
    return max(0.0, 1.0 - front * _fraction(1.0 - x, b, a) / b)


def _fraction(x: float, a: float, b: float) -> float:
    numerator, denominator = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = denominator
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1.0 / _away_from_zero(1.0 + term * denominator)
            numerator = _away_from_zero(1.0 + term / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4_096)
def beta_quantile(share: float, a: float, b: float) -> float:
    """Where `share` of Beta(a, b) lies below, by halving.

    >>> round(beta_quantile(0.1, 9.0, 1.0), 4)
    0.7743
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_cdf.__wrapped__(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=4_096)
def mean_with_bound(bound: float, share: float, runs: float) -> float:
    """Mean of the Beta distribution worth `runs` runs of which `share` lies below `bound`.

    >>> mean = mean_with_bound(0.85, 0.1, 4.0)
    >>> round(beta_quantile(0.1, mean * 4.0, (1 - mean) * 4.0), 4)
    0.85
    """
    bound = min(max(bound, LEAST_SURE), MOST_SURE)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_cdf.__wrapped__(bound, middle * runs, (1.0 - middle) * runs) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
