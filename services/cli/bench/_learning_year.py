"""A year of incidents whose truth changes: which playbook helps is redrawn, drifts, and new troubles come."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from random import Random

DAYS = 360
MONTHS = 12
PLAYBOOKS = 4
KINDS = ("service", "worker")
AT_FIRST, NEW_A_MONTH = 30, 1
PER_DAY = 8.0
CHANGES_A_YEAR = 1.5
"""Of one trouble: another playbook is the one that helps."""
DRIFT_A_DAY, RETURN_A_DAY = 0.08, 0.01
"""Standard deviation by which the log-odds of a playbook wander, and how far they are drawn back each day."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One incident. `chances`: of each playbook to help, if it were run now; the second is drawn for it."""

    day: float
    signature: str
    kind: str
    base: float
    """How sure the diagnosis is."""
    chances: tuple[float, ...]
    luck: tuple[float, ...]
    """A playbook helps where its chance is above this."""

    truth: int
    """How often its chances had been drawn anew: nobody sees it but those who are told of changes."""

    @property
    def cell(self) -> tuple[str, str]:
        return self.signature, self.kind


@dataclass(slots=True)
class _Truth:
    """Chances of the playbooks on one trouble, as log-odds by kind of component."""

    weight: float
    base: float
    odds: dict[str, list[float]] = field(default_factory=dict)
    home: dict[str, list[float]] = field(default_factory=dict)
    """What they wander around."""
    drawn: dict[str, int] = field(default_factory=dict)
    """How often."""

    def redraw(self, rng: Random, kinds: tuple[str, ...]) -> None:
        """One playbook helps nearly always, one often, the others seldom; kinds differ a little."""
        chances = [
            rng.uniform(0.93, 0.995),
            rng.uniform(0.5, 0.8),
            *(rng.uniform(0.03, 0.4) for _ in range(2, PLAYBOOKS)),
        ]
        rng.shuffle(chances)
        for kind in kinds:
            self.home[kind] = [log(chance / (1 - chance)) + rng.gauss(0, 0.3) for chance in chances]
            self.odds[kind] = list(self.home[kind])
            self.drawn[kind] = self.drawn.get(kind, 0) + 1

    def drift(self, rng: Random) -> None:
        for kind, odds in self.odds.items():
            for playbook, home in enumerate(self.home[kind]):
                odds[playbook] += rng.gauss(0, DRIFT_A_DAY) + RETURN_A_DAY * (home - odds[playbook])


def year(seed: int) -> list[Trouble]:
    """The same year for every way of learning; another seed is another year."""
    rng = Random(f"year {seed}")
    truths: list[_Truth] = []
    found = []
    for day in range(DAYS):
        arrivals = AT_FIRST if day == 0 else NEW_A_MONTH * (day % (DAYS // MONTHS) == 0)
        for _ in range(arrivals):
            truths.append(_Truth(weight=rng.paretovariate(1.2), base=round(rng.uniform(0.8, 0.95), 2)))
            truths[-1].redraw(rng, KINDS)
        for truth in truths:
            truth.drift(rng)
            if rng.random() < CHANGES_A_YEAR / DAYS:
                truth.redraw(rng, KINDS if rng.random() < 0.7 else (rng.choice(KINDS),))
        count = sum(rng.random() < PER_DAY / 24 for _ in range(24))
        for hour in sorted(rng.random() for _ in range(count)):
            (number,) = rng.choices(range(len(truths)), [min(truth.weight, 8.0) for truth in truths])
            kind = rng.choice(KINDS)
            truth = truths[number]
            found.append(
                Trouble(
                    day=day + hour,
                    signature=f"trouble-{number}",
                    kind=kind,
                    base=truth.base,
                    chances=tuple(1 / (1 + exp(-one)) for one in truth.odds[kind]),
                    luck=tuple(rng.random() for _ in range(PLAYBOOKS)),
                    truth=truth.drawn[kind],
                )
            )
    return found
