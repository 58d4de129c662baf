"""Whether what is said to help with 90 % helps in nine of ten runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

BINS = 10
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Foretold:
    """One run: the chance to help that was foretold (0–1), and whether it did."""

    expected: float
    helped: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """Runs foretold within [low, high): how often they should have helped on average, and how often they did."""

    low: float
    high: float
    runs: int
    expected: float
    helped: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`curve` is the reliability curve; `error` the expected calibration error, its mean distance from the diagonal
    weighted by runs (Naeini et al. 2015); `brier` the mean squared difference (Brier 1950)."""

    runs: int
    brier: float
    error: float
    log_loss: float
    curve: tuple[Bin, ...]


def calibration(foretold: Sequence[Foretold], bins: int = BINS) -> Calibration | None:
    """Over equally wide bins; None without a run.

    >>> calibration([Foretold(0.75, True)] * 3 + [Foretold(0.75, False)]).error
    0.0
    """
    if not foretold:
        return None
    placed: dict[int, list[Foretold]] = {}
    for one in foretold:
        placed.setdefault(min(int(one.expected * bins), bins - 1), []).append(one)
    curve = tuple(_bin(place / bins, (place + 1) / bins, placed[place]) for place in sorted(placed))
    runs = len(foretold)
    return Calibration(
        runs=runs,
        brier=sum((one.expected - one.helped) ** 2 for one in foretold) / runs,
        error=sum(one.runs * abs(one.expected - one.helped) for one in curve) / runs,
        log_loss=sum(-log(max(_LEAST, one.expected if one.helped else 1 - one.expected)) for one in foretold) / runs,
        curve=curve,
    )


def _bin(low: float, high: float, inside: Sequence[Foretold]) -> Bin:
    runs = len(inside)
    expected = sum(one.expected for one in inside) / runs
    return Bin(low, high, runs, expected, sum(one.helped for one in inside) / runs)
