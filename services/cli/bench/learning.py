"""Learning: a year of incidents whose truth changes, decided by the decider from what the learner remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Protocol
from uuid import UUID

from services.cli.bench._learning_memories import (
    Adwin,
    Discounted,
    Everything,
    Memory,
    Nothing,
    PageHinkley,
    Remembers,
    Window,
)
from services.cli.bench._learning_year import DAYS, KINDS, MONTHS, PLAYBOOKS, Trouble, year
from services.cli.bench.results import Report, Row
from services.decider.domain.decide import Ruling, rule
from services.decider.domain.model import Case, Cause, Inputs, Record, Target, Tried
from services.decider.domain.vocabulary import CaseKind, Result, Verdict
from shared.packs import Category, Component, Mode, Playbook, Policy

YEARS = 2
PLOT = Path("docs/learning.png")
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
OURS = "Homeostat (forgets what a change made untrue)"
WAYS: dict[str, Callable[[], Remembers]] = {
    OURS: Memory,
    "discounting": lambda: Discounted(0.95),
    "sliding window": lambda: Window(20),
    "ADWIN": Adwin,
    "Page-Hinkley": PageHinkley,
    "never forgetting": Everything,
    "no learning": Nothing,
}
PLOTTED = (OURS, "never forgetting", "no learning")
CHANGES = ((0.9, 0.3), (0.95, 0.6), (0.3, 0.9), (0.8, 0.2))
REPEATED = 50
NOTES = (
    f"{YEARS} simulated years of about six incidents a day, decided by the decider's own rules in mode auto from what "
    "is remembered of each signature, playbook and kind of component. Ten kinds of trouble at first and one more each "
    "month; of four playbooks one helps nearly always, one often; three times a year another does, and all wander. "
    "Where a person is asked they approve. First decision of each incident: `wrong` was done alone and did not help; "
    "regret is the chance to help of the best playbook less that of the one chosen. Settings of all ways were chosen "
    "on other years. [By month](learning.png)."
)
_NAMES = tuple(f"playbook-{number}" for number in range(PLAYBOOKS))


@dataclass(slots=True)
class Month:
    """What came of the first decision of each incident of a month, as sums."""

    incidents: int = 0
    healed_at_first: int = 0
    """At the first try; where a person was asked, with their approval."""
    alone: int = 0
    wrong: int = 0
    """Done by itself, and did not help."""
    asked: int = 0
    regret: float = 0.0
    """Chance to help of the best playbook less that of the one chosen."""


@dataclass(slots=True)
class Life:
    """One way of remembering through one year."""

    make: Callable[[], Remembers]
    policy: Policy = field(default_factory=Policy)
    memories: dict[tuple[str, str, str], Remembers] = field(default_factory=dict)
    months: list[Month] = field(default_factory=lambda: [Month() for _ in range(MONTHS)])
    targets: dict[str, Target] = field(init=False)

    def __post_init__(self) -> None:
        self.targets = {kind: _target(kind, self.policy) for kind in KINDS}

    def live(self, troubles: Sequence[Trouble]) -> None:
        for number, trouble in enumerate(troubles):
            self._meet(number, trouble, self.months[int(trouble.day * MONTHS / DAYS)])

    def _meet(self, number: int, trouble: Trouble, month: Month) -> None:
        """Decided again after every run that did not help, until it is healed or nothing is left."""
        month.incidents += 1
        tried: list[Tried] = []
        while len(tried) < self.policy.max_attempts:
            ruling = rule(self._inputs(number, trouble, tuple(tried)))
            if ruling.option is None or ruling.verdict not in (Verdict.EXECUTE, Verdict.ASK):
                break
            chosen = _NAMES.index(ruling.option.playbook)
            helped = trouble.luck[chosen] < trouble.chances[chosen]
            if not tried:
                _count(month, ruling, trouble, chosen, helped=helped)
            self._remember(trouble.signature, ruling.option.playbook, trouble.kind).add(helped)
            if helped:
                break
            tried.append(Tried(ruling.option.playbook, "target", Result.FAILED))

    def _remember(self, signature: str, playbook: str, kind: str) -> Remembers:
        key = (signature, playbook, kind)
        if key not in self.memories:
            self.memories[key] = self.make()
        return self.memories[key]

    def _inputs(self, number: int, trouble: Trouble, tried: tuple[Tried, ...]) -> Inputs:
        now = BEGAN + timedelta(days=trouble.day)
        cause = Cause("target", Category.CRASH, trouble.base, trouble.signature)
        case = Case(UUID(int=number), CaseKind.INCIDENT, "target", now, causes=(cause,), tried=tried)
        return Inputs(now, case, {"target": self.targets[trouble.kind]}, self._records(trouble.signature))

    def _records(self, signature: str) -> tuple[Record, ...]:
        found = []
        for playbook in _NAMES:
            by_kind = {kind: self.memories.get((signature, playbook, kind)) for kind in KINDS}
            evidence = {kind: one.remembered() for kind, one in by_kind.items() if one is not None}
            remembered = {kind: (one.runs, one.successes) for kind, one in evidence.items()}
            runs = round(sum(one.runs for one in evidence.values()))
            found.append(Record(signature, playbook, runs, 0, 0.5, 0.0, remembered=remembered))
        return tuple(found)


def _count(month: Month, ruling: Ruling, trouble: Trouble, chosen: int, *, helped: bool) -> None:
    alone = ruling.verdict is Verdict.EXECUTE
    month.alone += alone
    month.asked += not alone
    month.healed_at_first += helped
    month.wrong += alone and not helped
    month.regret += trouble.best - trouble.chances[chosen]


def _target(kind: str, policy: Policy) -> Target:
    spec = {"for": ["crash"], "automation_level": "full-auto", "steps": [{"process.restart": {}}], "risk": 0.1}
    playbooks = {name: Playbook.model_validate(spec) for name in _NAMES}
    component = Component(kind=kind)
    return Target("target", "bench", 1, Mode.AUTO, component, policy, playbooks, health="critical")


# ---- the table


async def run(_data: Path | None) -> Report:
    """The table of this area; it needs no data of its own."""
    return await asyncio.to_thread(measure)


def lives(make: Callable[[], Remembers], seeds: Sequence[int], policy: Policy | None = None) -> list[Life]:
    found = [Life(make, policy or Policy()) for _ in seeds]
    for life, seed in zip(found, seeds, strict=True):
        life.live(year(seed))
    return found


def shares(months: Sequence[Month]) -> dict[str, float]:
    """Of the incidents of these months."""
    incidents = sum(month.incidents for month in months)
    alone = sum(month.alone for month in months)
    return {
        "healed at first try": sum(month.healed_at_first for month in months) / incidents,
        "done alone": alone / incidents,
        "of these wrong": sum(month.wrong for month in months) / max(1, alone),
        "regret": sum(month.regret for month in months) / incidents,
    }


def measure() -> Report:
    found = {name: lives(make, range(YEARS)) for name, make in WAYS.items()}
    rows = [
        Row(name, shares([month for life in of_years for month in life.months])) for name, of_years in found.items()
    ]
    rows += _curve(found[OURS])
    rows += _noticing()
    plot({name: _monthly(of_years, "healed at first try") for name, of_years in found.items()})
    return Report("learning", datetime.now(UTC), "Learning: a year whose truth changes", NOTES, rows)


def _monthly(of_years: Sequence[Life], figure: str) -> list[float]:
    return [shares([life.months[month] for life in of_years])[figure] for month in range(MONTHS)]


def _curve(of_years: Sequence[Life]) -> Iterator[Row]:
    for first in range(0, MONTHS, 3):
        months = [month for life in of_years for month in life.months[first : first + 3]]
        yield Row(f"{OURS}, months {first + 1} to {first + 3}", shares(months))


# ---- noticing a change


class Notices(Protocol):
    """Tells whether this run makes a change certain."""

    def add(self, helped: bool, /) -> object: ...


def _noticing() -> Iterator[Row]:
    """A playbook helps with one chance for 100 runs and with another afterwards."""
    ways: dict[str, Callable[[], Notices]] = {"Homeostat": Memory, "ADWIN": Adwin, "Page-Hinkley": PageHinkley}
    for name, make in ways.items():
        false, delays, missed = 0, [], 0
        for number, (before, after) in enumerate(CHANGES * REPEATED):
            rng, notices = Random(f"change {number}"), make()
            false += sum(bool(notices.add(rng.random() < before)) for _ in range(100))
            delay = next((run for run in range(1, 61) if notices.add(rng.random() < after)), None)
            delays += [delay] if delay is not None else []
            missed += delay is None
        changes = len(CHANGES) * REPEATED
        figures = {
            "false alarms in 1,000 runs": 10 * false / changes,
            "runs until noticed": fmean(delays),
            "missed": missed / changes,
        }
        yield Row(f"noticing a change: {name}", figures)


def plot(curves: dict[str, list[float]], path: Path = PLOT) -> None:
    """Share healed at the first try by month; nothing where matplotlib or docs/ isn't there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    if not path.parent.is_dir():
        return
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for name in PLOTTED:
        axes.plot(
            range(1, MONTHS + 1),
            curves[name],
            label=name.split(" (")[0],
            linewidth=2.2 if name == OURS else 1.2,
        )
    axes.set_ylim(0, 1)
    axes.set_xlabel("month")
    axes.set_ylabel("healed at first try")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=80)
