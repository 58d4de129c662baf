"""What is usual, and what is news."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.adaptive import NEWS, REST, WARM_UP, UsualRange


def learned(readings: int, draw: Callable[[], float]) -> UsualRange:
    usual = UsualRange()
    for _ in range(readings):
        usual.update(draw())
    return usual


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("normal", lambda chance: chance.gauss(100, 5)),
        ("exponential", lambda chance: chance.expovariate(1.0)),
        ("uniform", lambda chance: chance.random()),
        ("heavy", lambda chance: chance.lognormvariate(0, 1)),
        ("counts", lambda chance: float(chance.randint(0, 3))),
    ],
)
def test_chance_alone_is_seldom_news(name: str, draw: Callable[[random.Random], float]) -> None:
    chance = random.Random(4)
    usual = UsualRange()
    news = sum(usual.update(draw(chance)) >= NEWS for _ in range(20_000))
    assert news <= 40, f"{name}: {news} of 20,000"


def test_nothing_is_said_while_warming_up() -> None:
    usual = UsualRange()
    assert [usual.update(x) for x in [1.0] * (WARM_UP - 1) + [1e6]] == [0.0] * WARM_UP


@pytest.mark.parametrize("level", [0.0, 45.0, -3.0])
def test_a_series_that_never_moved_moves(level: float) -> None:
    usual = learned(500, lambda: level)
    assert usual.update(level) == 0.0
    assert usual.update(level + 1.0) > NEWS


@pytest.mark.parametrize("jump", [60.0, -60.0])
def test_a_lasting_change_is_news_at_once_and_then_becomes_usual(jump: float) -> None:
    chance = random.Random(9)
    usual = learned(2_000, lambda: chance.gauss(100, 5))
    assert usual.update(100 + jump) > NEWS
    later = [usual.update(chance.gauss(100 + jump, 5)) for _ in range(20_000)]
    assert sum(score >= NEWS for score in later[10_000:]) <= 10


def test_a_small_shift_that_stays_is_news_though_no_single_reading_is() -> None:
    chance = random.Random(2)
    usual = learned(5_000, lambda: chance.gauss(100, 5))
    assert any(usual.update(min(chance.gauss(109, 2), 112.0)) for _ in range(100))


def test_after_news_there_is_a_rest() -> None:
    usual = learned(500, lambda: 45.0)
    scores = [usual.update(90.0 * (i + 1)) for i in range(REST + 1)]
    assert scores[0] > NEWS
    assert scores[1 : REST + 1] == [0.0] * REST


@given(st.lists(st.floats(-1e99, 1e99), max_size=300))
def test_its_state_stays_finite_whatever_comes(readings: list[float]) -> None:
    usual = UsualRange()
    for x in readings:
        assert math.isfinite(usual.update(x))
    state = asdict(usual)
    lists = [state[name] for name in ("means", "above", "below", "over", "under")]
    assert all(math.isfinite(x) for each in lists for x in each)
    assert all(math.isfinite(x) for x in (state["moved"], state["off"], usual.low, usual.high))


def test_a_daily_crest_that_does_not_come_is_news_though_no_reading_leaves_the_range_of_the_day() -> None:
    chance = random.Random(6)
    usual = UsualRange()
    every_s, a_day = 300.0, 288
    trough = 10 * a_day + a_day * 3 // 4
    for step in range(trough):
        usual.update(100 + 30 * math.sin(2 * math.pi * step / a_day) + chance.gauss(0, 2), step * every_s)
    flat = [usual.update(70 + chance.gauss(0, 2), step * every_s) for step in range(trough, trough + a_day // 2)]
    assert any(score >= usual.limit for score in flat)


@pytest.mark.parametrize("asked", [1e-4, 1e-3])
def test_alarms_come_about_as_often_as_asked_for(asked: float) -> None:
    chance = random.Random(8)
    usual, readings, news = UsualRange(), 60_000, 0
    for _ in range(readings):
        news += usual.update(chance.gauss(0, 1)) >= usual.limit
        usual.limit = usual.limit_for(asked)
    assert asked / 10 <= news / readings <= asked * 2


def test_news_comes_with_the_range_from_before_it() -> None:
    usual = learned(500, lambda: 45.0)
    usual.update(90.0)
    assert usual.low <= 45.0 <= usual.high < 50.0


def test_after_an_absence_another_level_within_the_range_is_no_news() -> None:
    chance = random.Random(4)
    usual = learned(2_000, lambda: chance.choice([10.0, 30.0]) + chance.gauss(0, 1))
    usual.resume(30.0)
    assert usual.update(30.0) < usual.limit
