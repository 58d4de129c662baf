"""Every known problem is found, in time, on the right component and for the right reason; a quiet day stays quiet.

The diagnoser's memory of readings is left out here, since it takes most of the time; `homeostat bench known-patterns`
plays the same with it, and whole days."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from services.cli.bench._patterns_suite import Scenario, scenarios
from services.cli.bench._patterns_verdict import Verdict
from services.cli.bench.known_patterns import false_alarms, outcome, play_all
from services.detector.domain.expressions import expression_of
from shared.packs.library import library

SUITE = Path(__file__).parent
MISSED: dict[str, str] = {}
"""Known misses, with the reason."""
QUICK_DAY = "normal-shop-morning"


@cache
def failures() -> dict[str, Scenario]:
    return {scenario.name: scenario for scenario in scenarios(SUITE) if scenario.label}


async def verdict_of(name: str) -> Verdict:
    return outcome(await play_all([failures()[name]], measured=False)).verdicts[0]


def test_there_are_at_least_sixty_failures_of_every_kind() -> None:
    assert len(failures()) >= 60
    assert len({scenario.group for scenario in failures().values()}) >= 9


@pytest.mark.parametrize("name", [name for name in failures() if name not in MISSED])
async def test_failure_is_found_and_explained(name: str) -> None:
    verdict = await verdict_of(name)
    assert not verdict.wrong, f"{name}: {'; '.join(verdict.wrong)} (said {verdict.said})"


async def test_known_misses_are_few_and_still_missed() -> None:
    missed = [await verdict_of(name) for name in MISSED]
    assert all(verdict.wrong for verdict in missed), "no longer missed: take it out of MISSED"
    found = len(failures()) - len(missed)
    assert found + sum(each.detected and each.classified for each in missed) >= 0.95 * len(failures())


async def test_ordinary_running_raises_no_alarm() -> None:
    (morning,) = (scenario for scenario in scenarios(SUITE) if scenario.name == QUICK_DAY)
    ((_, played),) = await play_all([morning], measured=False)
    assert false_alarms(morning, played) == []


def test_every_rule_of_the_library_can_be_read_and_has_its_own_name() -> None:
    known = library()
    ids = [*(rule.id for rule in known.rules), *(pattern.id for pattern in known.log_patterns)]
    assert len(ids) == len(set(ids))
    assert all(expression_of(rule).selectors for rule in known.rules)
    assert fmean(bool(rule.summary) for rule in known.rules) == 1.0
