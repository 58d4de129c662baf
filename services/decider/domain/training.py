"""Fits the model of confidence to what came of runs: how far a diagnosis is believed, and what it is worth in runs.

A fit is judged on later runs than it was made from, beside the model that is in force.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

from services.decider.domain.confidence import believed, worth_of
from services.decider.domain.model import ConfidenceModel

LEARNS_FROM = 0.7
"""This share of the runs, the older ones, teaches; the rest judges."""
LEAST_JUDGES = 20
PRIOR_RUNS = (4.0, 8.0, 16.0, 32.0)
FIRST_STEP, LAST_STEP = 0.8, 0.05
STAYING = 2.0
"""So many runs speak for leaving a diagnosis' confidence as it is."""
NORMAL_ONE_SIDED_90 = 1.2816
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: the diagnosis' confidence, the record as it was then, and whether the run helped."""

    base: float
    runs: float
    successes: float
    helped: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """How a model foretold runs that it was not made from."""

    runs: int
    log_loss: float
    brier: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate beside the model in force, on the same later runs.

    `gain`: log loss saved a run; `gain_low`: the lower end of its one-sided 90 % interval.
    """

    model: ConfidenceModel
    learned_from: int
    candidate: Judged
    present: Judged
    gain: float
    gain_low: float

    @property
    def is_better(self) -> bool:
        return self.gain_low > 0


def train(samples: Sequence[Sample], present: ConfidenceModel) -> Trained | None:
    """A model fitted to the older samples and judged on the newer ones; None with too few. Samples are oldest first."""
    split = int(len(samples) * LEARNS_FROM)
    learned, judges = samples[:split], samples[split:]
    if len(judges) < LEAST_JUDGES:
        return None
    counted = Counter(learned)
    model = min((_fitted(counted, replace(present, prior_runs=runs)) for runs in PRIOR_RUNS), key=lambda one: one[0])[1]
    saved = [_loss(present, one) - _loss(model, one) for one in judges]
    mean = sum(saved) / len(saved)
    spread = sqrt(sum((one - mean) ** 2 for one in saved) / (len(saved) - 1) / len(saved))
    low = mean - NORMAL_ONE_SIDED_90 * spread
    return Trained(model, len(learned), judged(judges, model), judged(judges, present), mean, low)


def judged(samples: Sequence[Sample], model: ConfidenceModel) -> Judged:
    expected = [_expected(model, one) for one in samples]
    brier = sum((chance - one.helped) ** 2 for chance, one in zip(expected, samples, strict=True)) / len(samples)
    return Judged(len(samples), sum(_loss(model, one) for one in samples) / len(samples), brier)


def _fitted(samples: Counter[Sample], start: ConfidenceModel) -> tuple[float, ConfidenceModel]:
    """Pattern search (Hooke and Jeeves 1961) over the two numbers of Platt's scaling, drawn towards no change."""
    best, loss, step = start, _regularised(samples, start), FIRST_STEP
    while step >= LAST_STEP:
        around = [
            replace(best, slope=max(0.05, best.slope + step * up), offset=best.offset + step * right)
            for up, right in ((1, 0), (-1, 0), (0, 1), (0, -1))
        ]
        tried, found = min(((_regularised(samples, one), one) for one in around), key=lambda pair: pair[0])
        if tried < loss:
            best, loss = found, tried
        else:
            step /= 2
    return loss, best


def _regularised(samples: Counter[Sample], model: ConfidenceModel) -> float:
    drawn = STAYING * ((model.slope - 1.0) ** 2 + model.offset**2) / 2
    return sum(_loss(model, one) * count for one, count in samples.items()) + drawn


def _loss(model: ConfidenceModel, one: Sample) -> float:
    chance = min(max(_expected(model, one), _LEAST), 1.0 - _LEAST)
    return -log(chance if one.helped else 1.0 - chance)


def _expected(model: ConfidenceModel, one: Sample) -> float:
    """As `posterior` has it, to a hundredth of the diagnosis' confidence: there are thousands of these to a fit."""
    bound = round(believed(round(one.base, 2), model), 2)
    helped, failed = worth_of(bound, model)
    return (helped + one.successes) / (helped + failed + one.runs)
