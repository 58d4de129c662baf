"""Which of several safe playbooks to take, where what helps depends on the component and changes: regret of strategies.

A world has kinds of trouble, each with the same few playbooks; the chance that one helps depends on the trouble and on
the kind of component, and is drawn anew now and then. A strategy sees the diagnosis' confidence, the kind of component
and what became of its own choices, and nothing of the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import fmean

import numpy as np

from services.cli.bench.results import Row
from services.decider.domain.beta import beta_quantile
from services.decider.domain.confidence import OTHER_KINDS, prior
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.strategy import OPTIMISM, Posterior, thompson, upper
from services.learner.domain.memory import Memory, Remembered

TROUBLES, KINDS, PLAYBOOKS = 12, 3, 4
DECISIONS = 2_000
CHANGES = {"never changes": 0.0, "changes": 0.01}
"""Chance, with each decision, that the chances of its trouble are drawn anew."""
LINUCB_WIDTHS = (0.1, 0.3, 1.0)
LINUCB_KEEPS = 0.98
EPSILON = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """What a strategy knows when it chooses: the posterior of each playbook, and the context."""

    posteriors: Sequence[Posterior]
    trouble: int
    kind: int


type Chooses = Callable[[Seen, Random], int]


class World:
    """The truth."""

    def __init__(self, rng: Random, change: float) -> None:
        self._rng, self._change = rng, change
        self._chances = {trouble: self._drawn() for trouble in range(TROUBLES)}

    def _drawn(self) -> list[list[float]]:
        """By kind of component and playbook. Kinds are alike: what helps one mostly helps the others."""
        common = [self._rng.betavariate(2, 1.2) for _ in range(PLAYBOOKS)]
        return [[min(max(c + self._rng.gauss(0, 0.12), 0.02), 0.98) for c in common] for _ in range(KINDS)]

    def next(self) -> tuple[int, int, list[float]]:
        trouble, kind = self._rng.randrange(TROUBLES), self._rng.randrange(KINDS)
        if self._rng.random() < self._change:
            self._chances[trouble] = self._drawn()
        return trouble, kind, self._chances[trouble][kind]


class LinUcb:
    """Linear upper bounds (Li et al. 2010), one ridge regression a playbook and trouble over the kind of component,
    older runs counting less and less."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._gram = np.tile(np.eye(KINDS + 1), (TROUBLES, PLAYBOOKS, 1, 1))
        self._sums = np.zeros((TROUBLES, PLAYBOOKS, KINDS + 1))

    def choose(self, seen: Seen, _rng: Random) -> int:
        x = _features(seen.kind)
        means = np.array([good / (good + bad) for good, bad in seen.posteriors])
        uppers = []
        for playbook in range(PLAYBOOKS):
            inverse = np.linalg.inv(self._gram[seen.trouble, playbook])
            slopes = inverse @ self._sums[seen.trouble, playbook]
            uppers.append(float(x @ slopes) + self._width * sqrt(float(x @ inverse @ x)))
        return int(np.argmax(np.array(uppers) + 1e-9 * means))

    def learn(self, seen: Seen, playbook: int, helped: bool) -> None:
        x = _features(seen.kind)
        gram, sums = self._gram[seen.trouble, playbook], self._sums[seen.trouble, playbook]
        gram[:] = LINUCB_KEEPS * gram + (1 - LINUCB_KEEPS) * np.eye(KINDS + 1) + np.outer(x, x)
        sums[:] = LINUCB_KEEPS * sums + (helped - PRIOR_CHANCE) * x


PRIOR_CHANCE = 0.6


def _features(kind: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([1.0, *(float(kind == one) for one in range(KINDS))])


def rows(seeds: int) -> Iterator[Row]:
    ways: dict[str, Callable[[], Chooses | LinUcb]] = {
        "best lower bound of 80 %": lambda: _by(lambda good, bad: beta_quantile(1 - OPTIMISM, good, bad)),
        "best mean (fixed)": lambda: _by(lambda good, bad: good / (good + bad)),
        "best upper bound of 80 % (ucb)": lambda: lambda seen, _rng: upper(seen.posteriors),
        "thompson": lambda: _thompson,
        "ab": lambda: _ab,
        f"epsilon-greedy {EPSILON:.0%}": lambda: _epsilon_greedy,
        **{f"LinUCB, width {width:g}": _linucb(width) for width in LINUCB_WIDTHS},
    }
    for name, make in ways.items():
        figures = {}
        for truth, change in CHANGES.items():
            figures[f"regret, {truth}"] = fmean(_regret(make(), seed, change) for seed in range(seeds))
        yield Row(f"choice: {name}", figures)


def _linucb(width: float) -> Callable[[], LinUcb]:
    return lambda: LinUcb(width)


def _by(worth: Callable[[float, float], float]) -> Chooses:
    def choose(seen: Seen, _rng: Random) -> int:
        values = [worth(round(good, 2), round(bad, 2)) for good, bad in seen.posteriors]
        return max(range(len(values)), key=values.__getitem__)

    return choose


def _thompson(seen: Seen, rng: Random) -> int:
    return thompson(seen.posteriors, rng.betavariate)


def _ab(seen: Seen, rng: Random) -> int:
    """The best by mean, or the next best, half of the cases each."""
    order = sorted(range(PLAYBOOKS), key=lambda one: -seen.posteriors[one][0] / sum(seen.posteriors[one]))
    return order[rng.randrange(2)]


def _epsilon_greedy(seen: Seen, rng: Random) -> int:
    if rng.random() < EPSILON:
        return rng.randrange(PLAYBOOKS)
    return max(range(PLAYBOOKS), key=lambda one: seen.posteriors[one][0] / sum(seen.posteriors[one]))


def _regret(way: Chooses | LinUcb, seed: int, change: float) -> float:
    """Mean over decisions of what the best playbook's chance is above the chosen one's."""
    world, rng = World(Random(seed), change), Random(seed + 1_000)
    start = prior(0.6, ConfidenceModel())
    memories = [[[Memory() for _ in range(PLAYBOOKS)] for _ in range(KINDS)] for _ in range(TROUBLES)]
    known = [[[Remembered() for _ in range(PLAYBOOKS)] for _ in range(KINDS)] for _ in range(TROUBLES)]
    lost = 0.0
    for _ in range(DECISIONS):
        trouble, kind, chances = world.next()
        posteriors = [_posterior(start, [of[book] for of in known[trouble]], kind) for book in range(PLAYBOOKS)]
        seen = Seen(posteriors, trouble, kind)
        taken = way.choose(seen, rng) if isinstance(way, LinUcb) else way(seen, rng)
        helped = rng.random() < chances[taken]
        memories[trouble][kind][taken].add(helped)
        known[trouble][kind][taken] = memories[trouble][kind][taken].remembered()
        if isinstance(way, LinUcb):
            way.learn(seen, taken, helped)
        lost += max(chances) - chances[taken]
    return lost / DECISIONS


def _posterior(start: Posterior, known: Sequence[Remembered], kind: int) -> Posterior:
    """As the product weighs evidence: runs on other kinds of component count half."""
    good, bad = start
    for other, one in enumerate(known):
        weight = 1.0 if other == kind else OTHER_KINDS
        good, bad = good + weight * one.successes, bad + weight * (one.runs - one.successes)
    return good, max(bad, 1e-3)
