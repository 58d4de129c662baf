"""Known problem patterns: a labelled suite of failures, and of days without any, through the code of production."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

from services.cli.bench._patterns_fixed import fixed_alarms
from services.cli.bench._patterns_player import Played, book_of, play
from services.cli.bench._patterns_suite import Label, Scenario, scenarios
from services.cli.bench._patterns_verdict import Verdict, judge, moments
from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, Row

SUITE = Path("tests/patterns")
DAY_S = 86_400.0
EPISODE_S = 600.0
"""Alarms of a baseline about one component that are no further apart are one."""
NOTES = (
    "Each scenario is ordinary running, then a failure, then recovery; detected: an incident on the right component "
    "before the scenario's deadline; classified right: the surest diagnosis then names the right component and kind; "
    "nothing amiss: also no alarm before, none blamed that is innocent, the severity told, all over after recovery. "
    "The suite's made scenarios were written together with the library, so they hold what it should know and don't "
    "tell how it does on systems never seen. Baselines name no cause."
)
type Alarms = Callable[[Scenario, Played], list[tuple[float, str]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scenarios judged: failures, and the false alarms of stretches in which nothing was wrong."""

    verdicts: tuple[Verdict, ...]
    false_alarms: tuple[str, ...] = ()
    normal_days: float = 0.0


async def play_all(
    suite: Sequence[Scenario], *, known: bool = True, measured: bool = True
) -> list[tuple[Scenario, Played]]:
    """`known`: with the product's library of known problems; `measured`: with the diagnoser's memory of readings."""
    found = []
    for scenario in suite:
        when = moments(scenario.label) if scenario.label else ()
        packs = await book_of(scenario.pack)
        found.append((scenario, play(scenario, packs, known=known, measured=measured, moments=when)))
    return found


def outcome(played: Sequence[tuple[Scenario, Played]]) -> Outcome:
    normal = [(scenario, each) for scenario, each in played if scenario.label is None]
    return Outcome(
        tuple(judge(scenario, each) for scenario, each in played if scenario.label),
        tuple(alarm for scenario, each in normal for alarm in false_alarms(scenario, each)),
        sum(each.ended - each.began for _, each in normal) / DAY_S,
    )


def false_alarms(scenario: Scenario, played: Played) -> list[str]:
    """One for each opening and each reopening."""
    return [
        f"{scenario.name}: {each.seen.component} {each.seen.pattern}"
        for each in played.incidents
        for _ in range(each.openings)
    ]


async def run(data: Path | None = None) -> Report:
    """The table of this area. `data`: a folder of scenarios instead of the product's own suite."""
    suite = _suite(data)
    played = await play_all(suite)
    ours = outcome(played)
    bare = outcome(await play_all(suite, known=False, measured=False))
    rows = [
        _row("Homeostat", ours),
        _row("Homeostat without the library of known problems", bare),
        _baseline("fixed thresholds only (CPU, memory, disk, slow answers)", played, fixed_alarms),
        _baseline("anomaly detector only", played, lambda _, each: each.anomalies),
    ]
    for recorded, name in ((True, "recorded from real programs"), (False, "made")):
        names = {scenario.name for scenario, _ in played if scenario.recorded is recorded}
        rows += _part(f"Homeostat: {name}", [each for each in ours.verdicts if each.scenario in names])
    for group in dict.fromkeys(verdict.group for verdict in ours.verdicts):
        rows += _part(f"Homeostat: {group}", [each for each in ours.verdicts if each.group == group])
    return Report("known-patterns", datetime.now(UTC), "Known problem patterns", NOTES, rows)


def _suite(data: Path | None) -> list[Scenario]:
    """A folder given may hold other sets only: then it is the product's own suite."""
    folder = data if data is not None and any(data.rglob("scenario.yaml")) else SUITE
    found = scenarios(folder) if folder.is_dir() else []
    if not found:
        raise DataMissingError(f"no scenarios in {folder}: run it in a checkout, or give --data DIR with recordings")
    return found


def _part(what: str, verdicts: Sequence[Verdict]) -> list[Row]:
    return [_row(what, Outcome(tuple(verdicts)))] if verdicts else []


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


def _baseline(what: str, played: Sequence[tuple[Scenario, Played]], alarms: Alarms) -> Row:
    """One that only alarms."""
    failures = [(scenario.label, alarms(scenario, each)) for scenario, each in played if scenario.label]
    normal = [(each, alarms(scenario, each)) for scenario, each in played if scenario.label is None]
    delays = [_delay_s(label, found) for label, found in failures if label]
    seen = [each for each in delays if each is not None]
    figures: dict[str, float] = {"scenarios": len(failures)}
    if failures:
        figures["detected"] = len(seen) / len(failures)
    if seen:
        figures["median delay, s"] = median(seen)
    days = sum(each.ended - each.began for each, _ in normal) / DAY_S
    if days:
        figures["false alarms a day"] = sum(episodes(found) for _, found in normal) / days
    return Row(what, figures)


def _delay_s(label: Label, alarms: Sequence[tuple[float, str]]) -> float | None:
    timely = [at for at, who in alarms if who == label.component and 0 <= at - label.onset <= label.deadline_s]
    return min(timely) - label.onset if timely else None


def episodes(alarms: Sequence[tuple[float, str]]) -> int:
    """Alarms of one component within EPISODE_S of the one before are told once.

    >>> episodes([(0.0, "web"), (30.0, "web"), (30.0, "db"), (900.0, "web")])
    3
    """
    last: dict[str, float] = {}
    count = 0
    for at, who in sorted(alarms):
        count += who not in last or at - last[who] > EPISODE_S
        last[who] = at
    return count
