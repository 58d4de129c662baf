"""Learning: a year of incidents whose truth changes, decided by the decider from what the learner remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Protocol

from services.cli.bench._learning_life import LEAST_AFTER, First, Life, Sees, Way, recoveries, shares
from services.cli.bench._learning_memories import Adwin, Discounted, Everything, Memory, Nothing, PageHinkley
from services.cli.bench._learning_year import DAYS, year
from services.cli.bench.results import Report, Row

YEARS = 2
PLOT = Path("docs/learning.png")
OURS = "Homeostat"
FOREVER, STATIC, TOLD, ORACLE = (
    "never forgetting",
    "no learning",
    "told of each change, not what it changed",
    "knowing the truth",
)
WAYS: dict[str, Way] = {
    OURS: Way(),
    "Homeostat with strategy thompson": Way(strategy="thompson"),
    "discounting": Way(lambda: Discounted(0.95)),
    "ADWIN": Way(Adwin),
    "Page-Hinkley": Way(PageHinkley),
    FOREVER: Way(Everything),
    STATIC: Way(Nothing),
    TOLD: Way(Everything, sees=Sees.CHANGES),
    ORACLE: Way(Nothing, sees=Sees.TRUTH),
}
BY_QUARTER = (OURS, FOREVER, STATIC)
PLOTTED = (OURS, FOREVER, STATIC, TOLD, ORACLE)
QUARTERS = 4
FIRST_WEEKS = {"week 1": (0, 1), "week 2": (1, 2), "weeks 3 and 4": (2, 4), "weeks 5 to 8": (4, 8)}
PLOTTED_A_YEAR = 24
CHANGES = ((0.9, 0.3), (0.95, 0.6), (0.3, 0.9), (0.8, 0.2))
REPEATED = 50
NOTES = (
    f"{YEARS} simulated years of about eight incidents a day, decided by the decider's own rules in mode auto from "
    "what is remembered of each signature, playbook and kind of component; only outcomes of what was tried are seen. "
    "Thirty kinds of trouble at first and one more each month, on two kinds of component; of four playbooks one helps "
    "nearly always, one often; three times in two years another does, and all wander. Where a person is asked they "
    "approve. First decision of each incident: `right` is a playbook whose chance to help is within 0.05 of the best "
    "one's; regret is what is missing to that; `wrong` was done alone and did not help. Recovered from a change: three "
    f"right decisions in a row, looked at where {LEAST_AFTER} incidents came before the next change. Settings of all "
    "ways were chosen on other years. [The curve](learning.png)."
)


async def run(_data: Path | None) -> Report:
    """The table of this area; it needs no data of its own."""
    return await asyncio.to_thread(measure)


def measure() -> Report:
    found = {name: lives(way, range(YEARS)) for name, way in WAYS.items()}
    rows = [Row(name, {**shares(_firsts(of_years)), **recoveries(of_years)}) for name, of_years in found.items()]
    for name in BY_QUARTER:
        rows += _quarters(name, found[name])
    rows += _weeks(found[OURS])
    rows += _noticing()
    plot({name: _curve(found[name]) for name in PLOTTED})
    return Report("learning", datetime.now(UTC), "Learning: a year whose truth changes", NOTES, rows)


def lives(way: Way, seeds: Sequence[int]) -> list[Life]:
    return [Life(way).live(year(seed)) for seed in seeds]


def _firsts(of_years: Sequence[Life], first_day: float = 0, last_day: float = DAYS) -> list[First]:
    return [one for life in of_years for one in life.firsts if first_day <= one.day < last_day]


def _quarters(name: str, of_years: Sequence[Life]) -> Iterator[Row]:
    for quarter in range(QUARTERS):
        firsts = _firsts(of_years, quarter * DAYS / QUARTERS, (quarter + 1) * DAYS / QUARTERS)
        yield Row(f"{name}, quarter {quarter + 1}", shares(firsts))


def _weeks(of_years: Sequence[Life]) -> Iterator[Row]:
    for name, (begin, end) in FIRST_WEEKS.items():
        yield Row(f"{OURS}, {name}", shares(_firsts(of_years, 7 * begin, 7 * end)))


def _curve(of_years: Sequence[Life]) -> list[float]:
    part = DAYS / PLOTTED_A_YEAR
    return [shares(_firsts(of_years, number * part, (number + 1) * part))["right"] for number in range(PLOTTED_A_YEAR)]


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
    """Share of right decisions by half a month; nothing where matplotlib or docs/ isn't there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    if not path.parent.is_dir():
        return
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        months = [(number + 0.5) * 12 / len(curve) for number in range(len(curve))]
        axes.plot(months, curve, label=name, linewidth=2.2 if name == OURS else 1.2)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("month")
    axes.set_ylabel("right first decisions")
    axes.grid(alpha=0.3)
    axes.legend(loc="center right", fontsize=8)
    figure.savefig(path, dpi=80)
