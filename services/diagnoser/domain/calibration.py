"""From weights of evidence to a confidence that means something: of causes said with 80 %, four of five are right.

Two steps, both of which change nothing before there are outcomes. First a straight line between the log odds of raw
and true confidence over all diagnoses (Platt 1999), held towards identity by a Gaussian prior on slope and offset.
Then each signature's mean error, shrunk by PRIOR_CASES cases without one: the posterior mean of a Beta-like prior.
Chosen by simulation against raw confidence, isotonic regression and either step alone: decision record 0019.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

from services.diagnoser.domain.evidence import CERTAIN
from services.diagnoser.domain.history import Judged

LEAST_CONFIDENCE = 0.01
PRIOR_CASES = 10.0
"""One refuted crash at 95 % leaves 85 %, three 69 %: a single bad experience doesn't silence a diagnosis."""
SLOPE_PRECISION, OFFSET_PRECISION = 40.0, 20.0
NEWTON_STEPS = 20
BINS = 10


@dataclass(frozen=True, slots=True)
class Line:
    """Log odds of the true confidence = slope × log odds of the raw one + offset."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, raw: float) -> float:
        return 1.0 / (1.0 + exp(-(self.slope * log_odds(raw) + self.offset)))


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Raw confidence of a signature → calibrated. Without outcomes it is the identity within 0.01 and CERTAIN."""

    line: Line | None = None
    errors: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """By signature: sum of (right − what the line says), and the number of cases."""

    def __call__(self, signature: str, raw: float) -> float:
        start = self.line(raw) if self.line else raw
        error, cases = self.errors.get(signature, (0.0, 0))
        return round(min(max(start + error / (PRIOR_CASES + cases), LEAST_CONFIDENCE), CERTAIN), 3)


def log_odds(share: float) -> float:
    kept = min(max(share, LEAST_CONFIDENCE), 1 - LEAST_CONFIDENCE)
    return log(kept / (1 - kept))


def learn(judged: Iterable[Judged]) -> Calibrator:
    """What outcomes teach; their order doesn't matter."""
    cases = sorted((one.signature, one.raw, one.right) for one in judged)
    if not cases:
        return Calibrator()
    line = fit_line([(raw, right) for _, raw, right in cases])
    errors: dict[str, tuple[float, int]] = {}
    for signature, raw, right in cases:
        error, count = errors.get(signature, (0.0, 0))
        errors[signature] = (error + right - line(raw), count + 1)
    return Calibrator(line, errors)


def fit_line(cases: Sequence[tuple[float, bool]]) -> Line:
    """Logistic regression of right on log odds by Newton's method with a Gaussian prior at slope 1, offset 0."""
    slope, offset = 1.0, 0.0
    points = Counter((round(log_odds(raw), 2), float(right)) for raw, right in cases)
    for _ in range(NEWTON_STEPS):
        to_slope, to_offset = SLOPE_PRECISION * (1.0 - slope), -OFFSET_PRECISION * offset
        ss, so, oo = SLOPE_PRECISION, 0.0, OFFSET_PRECISION
        for (odds, right), count in points.items():
            share = 1.0 / (1.0 + exp(-min(max(slope * odds + offset, -30.0), 30.0)))
            spread = count * share * (1.0 - share)
            to_slope += count * (right - share) * odds
            to_offset += count * (right - share)
            ss, so, oo = ss + spread * odds * odds, so + spread * odds, oo + spread
        determinant = ss * oo - so * so
        step_slope = (oo * to_slope - so * to_offset) / determinant
        step_offset = (ss * to_offset - so * to_slope) / determinant
        slope, offset = slope + step_slope, offset + step_offset
        if abs(step_slope) + abs(step_offset) < 1e-9:
            break
    return Line(max(slope, 0.0), offset)


# ---- how good it is


@dataclass(frozen=True, slots=True)
class Bin:
    """Causes told with a confidence between `low` and `high`: how sure on the mean, and how often right."""

    low: float
    high: float
    cases: int
    confidence: float
    right: float


def brier(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """Mean squared difference of confidence and outcome (Brier 1950): 0 is perfect, 0.25 a coin's."""
    return sum((confidence - right) ** 2 for confidence, right in pairs) / len(pairs) if pairs else None


def reliability(pairs: Sequence[tuple[float, bool]], bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability curve in bins of equal width; empty ones are left out."""
    kept: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in pairs:
        kept.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, right))
    return tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            len(members),
            sum(confidence for confidence, _ in members) / len(members),
            sum(right for _, right in members) / len(members),
        )
        for number, members in sorted(kept.items())
    )


def expected_calibration_error(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """Mean distance of confidence and share of right ones over the bins, by their cases (Naeini et al. 2015)."""
    if not pairs:
        return None
    return sum(one.cases * abs(one.confidence - one.right) for one in reliability(pairs)) / len(pairs)
