"""Known problem patterns: a labelled suite of failures, and of days without any, through the code of production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

from services.cli.bench._patterns_player import Played, book_of, play
from services.cli.bench._patterns_suite import Scenario, scenarios
from services.cli.bench._patterns_verdict import Verdict, judge, judged_at
from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, Row

SUITE = Path("tests/patterns")
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """All scenarios of a suite, judged: failures, and the incidents of stretches in which nothing was wrong."""

    verdicts: tuple[Verdict, ...]
    false_alarms: tuple[str, ...]
    normal_days: float


async def outcome(suite: Sequence[Scenario], *, known: bool = True) -> Outcome:
    """`known`: with the product's library of known problems."""
    verdicts: list[Verdict] = []
    alarms: list[str] = []
    normal_s = 0.0
    for scenario in suite:
        packs = await book_of(scenario.pack)
        label = scenario.label
        played = play(scenario, packs, known=known, moment_at=judged_at(label) if label else None)
        if label:
            verdicts.append(judge(scenario, played))
        else:
            normal_s += played.ended - played.began
            alarms += false_alarms(scenario, played)
    return Outcome(tuple(verdicts), tuple(alarms), normal_s / DAY_S)


def false_alarms(scenario: Scenario, played: Played) -> list[str]:
    """One for each opening and each reopening."""
    return [
        f"{scenario.name}: {each.seen.component} {each.seen.pattern}"
        for each in played.incidents
        for _ in range(each.openings)
    ]


async def run(data: Path | None = None) -> Report:
    """The table of this area."""
    folder = data or SUITE
    suite = scenarios(folder) if folder.is_dir() else []
    if not suite:
        raise DataMissingError(f"no scenarios in {folder}: run it in a checkout, or give --data DIR with recordings")
    ours = await outcome(suite)
    bare = await outcome(suite, known=False)
    rows = [_row("Homeostat", ours), _row("without the library of known problems", bare)]
    for group in dict.fromkeys(verdict.group for verdict in ours.verdicts):
        of_group = tuple(verdict for verdict in ours.verdicts if verdict.group == group)
        rows.append(_row(f"Homeostat: {group}", Outcome(of_group, (), 0.0)))
    return Report("known-patterns", datetime.now(UTC), "Known problem patterns", "", rows)


def _row(what: str, found: Outcome) -> Row:
    figures: dict[str, float] = {"scenarios": len(found.verdicts)}
    if found.verdicts:
        figures["detected"] = fmean(each.detected for each in found.verdicts)
        figures["classified right"] = fmean(each.classified for each in found.verdicts)
        figures["nothing amiss"] = fmean(not each.wrong for each in found.verdicts)
        delays = [each.delay_s for each in found.verdicts if each.delay_s is not None]
        if delays:
            figures["median delay, s"] = median(delays)
    if found.normal_days:
        figures["false alarms a day"] = len(found.false_alarms) / found.normal_days
    return Row(what, figures)
