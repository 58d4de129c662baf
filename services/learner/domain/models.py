"""The learner's own models: fitted to outcomes, put in force only when better on outcomes they were not fitted to.

Every candidate foretells each run from the runs before it (prequential, Dawid 1984), so a comparison on the newest
runs is one on held-back outcomes. A model in force is judged by the same rule against the one before it, and goes
when it is worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log, sqrt
from statistics import fmean

from services.learner.domain.memory import Memory
from services.learner.domain.recovery import recovery

SUCCESS = "success"
RECOVERY = "recovery-time"
SHIPPED = {SUCCESS: 0.01, RECOVERY: 20.0}
"""Chance of a change between two runs; newest recoveries that count."""
CANDIDATES = {SUCCESS: (0.0, 0.002, 0.005, 0.01, 0.02, 0.05), RECOVERY: (5.0, 10.0, 20.0, 50.0, 200.0)}
HELD_BACK = 0.25
LEAST_HELD_BACK = 50
LEAST_GAIN = 0.005
"""Of mean loss: for less a model isn't worth another, however certain."""
_SURE = 1.28
"""Standard errors by which a difference must be above that: 90 %, one-sided."""
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Example:
    """One past run, oldest first in a sequence."""

    pair: str
    """Signature and playbook."""
    kind: str
    helped: bool
    recovery_s: float | None


class Verdict(StrEnum):
    TOO_FEW = "too-few-outcomes"
    KEPT = "kept"
    PROMOTED = "promoted"
    DEMOTED = "demoted"


@dataclass(frozen=True, slots=True)
class Compared:
    """What training came to; losses are means over the held-back runs, less is better."""

    verdict: Verdict
    value: float
    """Of the parameter that is to be in force."""
    loss: float
    loss_before: float
    held_back: int
    fitted_to: int
    gain_low: float
    """Lower end of what the held-back runs say is gained."""


def losses(model: str, value: float, examples: Sequence[Example]) -> list[float]:
    """Of foretelling each run from those before it: the logarithmic loss of the chance to help, or the absolute
    difference of the logarithms of the foretold and the true time."""
    return _chance_losses(value, examples) if model == SUCCESS else _time_losses(int(value), examples)


def _chance_losses(change_chance: float, examples: Sequence[Example]) -> list[float]:
    memories: dict[tuple[str, str], Memory] = {}
    found = []
    for one in examples:
        memory = memories.setdefault((one.pair, one.kind), Memory(change_chance))
        chance = min(max(memory.chance, _LEAST), 1 - _LEAST)
        found.append(-log(chance if one.helped else 1 - chance))
        memory.add(one.helped)
    return found


def _time_losses(newest: int, examples: Sequence[Example]) -> list[float]:
    times_s: dict[str, list[float]] = {}
    found = []
    for one in examples:
        if not one.helped or one.recovery_s is None or one.recovery_s <= 0:
            continue
        before = times_s.setdefault(one.pair, [])
        foretold = recovery(before, newest)
        if foretold is not None and foretold.typical_s > 0:
            found.append(abs(log(foretold.typical_s) - log(one.recovery_s)))
        before.append(one.recovery_s)
    return found


def train(model: str, active: float, before: float | None, examples: Sequence[Example]) -> Compared:
    """Fits on the older runs and compares on the newest: `active` is in force, `before` was until it came.

    Raises nothing; with too few outcomes everything stays.
    """
    mine = losses(model, active, examples)
    held = round(len(mine) * HELD_BACK)
    cut = len(mine) - held
    if held < LEAST_HELD_BACK:
        return Compared(Verdict.TOO_FEW, active, _mean(mine), _mean(mine), held, cut, 0.0)
    present = mine[cut:]
    if before is not None and before != active:
        former = losses(model, before, examples)[cut:]
        low = _gain_low(present, former)
        if low > LEAST_GAIN:
            return Compared(Verdict.DEMOTED, before, _mean(former), _mean(present), held, cut, low)
    tried = {value: losses(model, value, examples) for value in CANDIDATES[model] if value != active}
    best = min(tried, key=lambda value: _mean(tried[value][:cut]))
    low = _gain_low(present, tried[best][cut:])
    if _mean(tried[best][:cut]) < _mean(mine[:cut]) and low > LEAST_GAIN:
        return Compared(Verdict.PROMOTED, best, _mean(tried[best][cut:]), _mean(present), held, cut, low)
    return Compared(Verdict.KEPT, active, _mean(present), _mean(present), held, cut, low)


def _gain_low(present: Sequence[float], other: Sequence[float]) -> float:
    """How much less the other loses, at least, with 90 % confidence: paired, so that hard runs cancel out."""
    gains = [mine - theirs for mine, theirs in zip(present, other, strict=True)]
    mean = fmean(gains)
    spread = sqrt(sum((gain - mean) ** 2 for gain in gains) / max(1, len(gains) - 1))
    return mean - _SURE * spread / sqrt(len(gains))


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 5) if values else 0.0
