"""What every way of judging metrics promises, whichever it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from services.detector.domain.fold import PartitionState
from tests.unit.detector.lines import T0, Reading, Timeline, watch

EVERY_S = 10.0
QUIET, TROUBLE = 240, 6
"""Readings before trouble begins, and how many of it."""
HOUR_S = 3_600.0


@dataclass
class Judge:
    """A way of judging: what a pack says to have it, and what a component in order and one in trouble sends."""

    sections: dict[str, object]
    good: Callable[[random.Random], dict[str, float]]
    bad: Callable[[random.Random], dict[str, float]]
    adds_up: bool = False
    """What is sent is a counter: the values are its increases."""


JUDGES = {
    "usual range of a gauge": Judge(
        {}, lambda chance: {"depth": chance.gauss(50, 3)}, lambda chance: {"depth": chance.gauss(400, 3)}
    ),
    "usual range of whole numbers": Judge(
        {}, lambda chance: {"depth": chance.randint(0, 3)}, lambda chance: {"depth": chance.randint(60, 63)}
    ),
    "usual range of a constant": Judge({}, lambda _: {"depth": 7.0}, lambda _: {"depth": 9.0}),
    "usual range of a counter": Judge(
        {},
        lambda chance: {"jobs_total": chance.randint(90, 110)},
        lambda chance: {"jobs_total": chance.randint(900, 1_100)},
        adds_up=True,
    ),
    "alarms at a rate asked for": Judge(
        {"anomalies": [{"metric": "depth", "alarms_per_week": 1}]},
        lambda chance: {"depth": chance.gauss(50, 3)},
        lambda chance: {"depth": chance.gauss(400, 3)},
    ),
    "fixed limit": Judge(
        {"rules": [{"metric": "depth", "above": 90}]}, lambda _: {"depth": 50.0}, lambda _: {"depth": 95.0}
    ),
    "fixed limit on a rate": Judge(
        {"rules": [{"metric": "jobs_total", "above": 50, "rate": True}]},
        lambda _: {"jobs_total": 100},
        lambda _: {"jobs_total": 1_000},
        adds_up=True,
    ),
    "share of failures": Judge(
        {"ratios": [{"component": "web", "errors": "failed_total", "total": "asked_total", "window_s": 60}]},
        lambda _: {"asked_total": 100, "failed_total": 1},
        lambda _: {"asked_total": 100, "failed_total": 60},
        adds_up=True,
    ),
}


@dataclass
class Story:
    """A component's readings in time, as its sender stamps them."""

    judge: Judge
    timeline: Timeline
    second: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(11))

    def send(self, values: dict[str, float]) -> list[Reading]:
        if self.judge.adds_up:
            for name, increase in values.items():
                self.sums[name] = self.sums.get(name, 0.0) + increase
            values = dict(self.sums)
        self.second += EVERY_S
        at = datetime.fromtimestamp(T0 + self.second, UTC)
        readings = [Reading(name, value, at=at) for name, value in values.items()]
        self.timeline.metrics(self.second, *readings)
        return readings

    def quiet(self, readings: int = QUIET) -> None:
        for _ in range(readings):
            self.send(self.judge.good(self.chance))

    def trouble(self, readings: int = TROUBLE) -> None:
        for _ in range(readings):
            self.send(self.judge.bad(self.chance))

    @property
    def found(self) -> list[str]:
        """What was said to be wrong: series that left their range, and incidents when they opened."""
        opened = [incident.fingerprint for incident in self.timeline.incidents if incident.revision == 1]
        return [*(anomaly.metric for anomaly in self.timeline.anomalies), *opened]


@pytest.fixture(params=JUDGES.values(), ids=JUDGES.keys())
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    judge: Judge = request.param
    return Story(judge, Timeline(watch(**judge.sections)))


def test_nothing_is_found_where_nothing_is_wrong(story: Story) -> None:
    story.quiet()
    assert story.found == []


def test_trouble_is_found_and_told_once(story: Story) -> None:
    story.quiet()
    story.trouble()
    assert story.found
    assert len(set(story.found)) == len(story.found)


def test_a_restart_before_trouble_changes_nothing(story: Story) -> None:
    story.quiet()
    fold = PartitionState(watch(**story.judge.sections))
    fold.restore(story.timeline.fold.snapshot())
    story.timeline = Timeline(fold=fold)
    story.quiet(30)
    assert story.found == []
    story.trouble()
    assert story.found


def test_what_is_no_number_teaches_nothing(story: Story) -> None:
    story.quiet()
    for value in (float("nan"), float("inf"), float("-inf"), 1e200):
        names = story.judge.good(story.chance)
        story.timeline.metrics(story.second, *[Reading(name, value) for name in names])
    story.quiet(30)
    assert story.found == []
    story.trouble()
    assert story.found


def test_readings_told_again_by_a_second_sender_are_not_learned_twice(story: Story) -> None:
    twice = Story(story.judge, Timeline(watch(**story.judge.sections)))
    for readings in (QUIET, TROUBLE):
        for _ in range(readings):
            draw = story.judge.good if readings == QUIET else story.judge.bad
            story.send(draw(story.chance))
            again = twice.send(draw(twice.chance))
            twice.timeline.metrics(twice.second, *again)
    assert twice.found == story.found != []
    assert [each.at for each in twice.timeline.anomalies] == [each.at for each in story.timeline.anomalies]


def test_an_absence_of_hours_is_no_news_when_all_is_as_before(story: Story) -> None:
    story.quiet()
    story.second += 7 * HOUR_S
    story.quiet(60)
    assert story.found == []


def test_a_counter_that_starts_again_is_no_news(story: Story) -> None:
    story.quiet()
    if story.judge.adds_up:
        story.sums.clear()
    story.quiet(60)
    assert story.found == []
