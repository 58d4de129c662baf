"""What judges a table of readings: the detector as production runs it, and the simple baselines beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import erfc, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from services.cli.bench._series import Floats, Table
from services.detector.domain.adaptive import REST
from services.detector.domain.components import ComponentState, ComponentTrack
from services.detector.domain.series import AlarmRate
from services.detector.domain.watch import Watched

SIGMAS = 3.0


@dataclass(frozen=True)
class Judgement:
    """Of each row of a table: how unusual it is, whether an alarm is raised, and how unusual it is said to be: that is
    less where an alarm was raised shortly before."""

    scores: Floats
    alarms: NDArray[np.bool_]
    told: Floats


@dataclass(slots=True)
class Sample:
    """A reading as it comes off the wire."""

    name: str
    value: float
    at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)


def ours(table: Table, alarms_per_week: float | None = None) -> Judgement:
    """The detector's track of one component, fed row by row. A row's score is its most unusual series'."""
    rates = () if alarms_per_week is None else (AlarmRate("*", alarms_per_week),)
    track = ComponentTrack(ComponentState(table.name), Watched(alarm_rates=rates))
    scores, told = np.zeros(len(table.times)), np.zeros(len(table.times))
    alarms = np.zeros(len(table.times), bool)
    values = table.values.tolist()
    for row, at in enumerate(table.times.tolist()):
        when = datetime.fromtimestamp(at, UTC)
        readings = [Sample(name, value, when) for name, value in zip(table.columns, values[row], strict=True)]
        alarms[row] = bool(track.read(readings, at, at).unusual)
        ranges = track.usual().values()
        scores[row] = max((usual.rarity for usual in ranges), default=0.0)
        told[row] = max((usual.score for usual in ranges), default=0.0)
    return Judgement(scores, alarms, told)


def ewma(table: Table, weight: float = 0.05) -> Judgement:
    """Distance from the exponential mean in exponential standard deviations; an alarm from three on, and then none for
    as many readings as ours rests."""
    scores = np.zeros(len(table.times))
    for column in table.values.T.tolist():
        mean, variance = next((value for value in column if value == value), 0.0), 0.0
        for row, value in enumerate(column):
            if value != value:  # NaN: an empty cell
                continue
            off = value - mean
            if variance > 0.0:
                scores[row] = max(scores[row], abs(off) / sqrt(variance))
            mean += weight * off
            variance = (1.0 - weight) * (variance + weight * off * off)
    return Judgement(scores, rested(scores, SIGMAS), scores)


def windowed_gaussian(table: Table, window: int = 6400, step: int = 100) -> Judgement:
    """The benchmark's own baseline: rarity under a normal distribution fitted to a sliding window."""
    scores = np.zeros(len(table.times))
    for column in table.values.T.tolist():
        kept: deque[float] = deque(maxlen=window)
        mean, deviation = 0.0, 0.0
        for row, value in enumerate(column):
            if value != value:
                continue
            if deviation > 0.0:
                scores[row] = max(scores[row], -log10(max(1e-300, erfc(abs(value - mean) / deviation / sqrt(2.0)))))
            kept.append(value)
            if len(kept) <= step or row % step == 0:
                mean, deviation = float(np.mean(kept)), float(np.std(kept))
    return Judgement(scores, rested(scores, -log10(erfc(SIGMAS / sqrt(2.0)))), scores)


def rested(scores: Floats, threshold: float) -> NDArray[np.bool_]:
    """The readings that reach the threshold, but for those too soon after one that did."""
    alarms = np.zeros(len(scores), bool)
    last = -REST - 1
    for row in np.flatnonzero(scores >= threshold).tolist():
        if row - last > REST:
            alarms[row], last = True, row
    return alarms


JUDGES: Mapping[str, Callable[[Table], Judgement]] = {
    "Homeostat": ours,
    "windowed Gaussian, 3 σ": windowed_gaussian,
    "EWMA, 3 σ": ewma,
}
"""For data of the user's own."""
