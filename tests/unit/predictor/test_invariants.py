"""What must hold of every series whatsoever."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from services.predictor.domain.climbs import Climbs
from services.predictor.domain.forecast import RULES, Sensitivity, forecast
from services.predictor.domain.history import CAPACITY, LEVELS, History
from services.predictor.domain.partition import Partition, Reading, Watched
from services.predictor.domain.trend import Strictness, fit
from services.predictor.domain.watch import Moment, Pace
from shared.packs.model import Limit

LIMIT = Limit(component="catalog", metric="memory", limit=400.0)
LOOSE = Strictness(z_min=1.0, rise_per_noise=0.5, block_low=0.01, block_high=50, newest_low=0.01)
values = st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=40)
steps = st.lists(st.tuples(st.floats(0.05, 5), st.floats(0, 500), st.booleans()), min_size=10, max_size=120)


def partition() -> Partition:
    return Partition(RULES[Sensitivity.HIGH], Pace(), lambda _name: Watched({"memory": LIMIT}))


@given(values)
def test_a_trend_rises_and_its_interval_holds_it(readings: list[float]) -> None:
    trend = fit([float(t) for t in range(len(readings))], readings, LOOSE)
    if trend is not None:
        assert 0 < trend.low_per_s <= trend.slope_per_s <= trend.high_per_s
        assert trend.noise >= 0
        assert trend.more >= 0


@given(values, st.floats(0.1, 1e3), st.floats(1e-3, 1e3))
def test_a_trend_doesn_t_depend_on_units(readings: list[float], scale: float, tick_s: float) -> None:
    """Seconds or days, bytes or gigabytes: the same climb is found."""
    rounded = [round(value, 1) for value in readings]
    here = fit([float(t) for t in range(len(rounded))], rounded, LOOSE)
    there = fit([t * tick_s for t in range(len(rounded))], [value * scale for value in rounded], LOOSE)
    if here is not None and there is not None:
        assert math.isclose(there.slope_per_s, here.slope_per_s * scale / tick_s, rel_tol=1e-6)
        assert math.isclose(there.high_per_s, here.high_per_s * scale / tick_s, rel_tol=1e-6)


@given(values, st.floats(-1e3, 399), st.floats(1, 1e6))
def test_a_forecast_is_ordered_and_a_probability(readings: list[float], current: float, horizon_s: float) -> None:
    trend = fit([float(t) for t in range(len(readings))], readings, LOOSE)
    if trend is not None:
        found = forecast(trend, current, 400.0, horizon_s, 5.0)
        assert 0 <= found.eta_low_s <= found.eta_s <= found.eta_high_s
        assert 0 <= found.probability <= 0.99


@given(steps)
def test_no_readings_break_it_and_every_prediction_has_one_end(readings: list[tuple[float, float, bool]]) -> None:
    watched, now_s, revisions = partition(), 0.0, []
    for elapsed_s, value, scraped_twice in readings:
        now_s += elapsed_s
        batch = [Reading("memory", (), value, now_s)] * (2 if scraped_twice else 1)
        revisions += watched.readings("catalog", batch, now_s)
    opened = {one.said.opened_s for one in revisions}
    for opened_s in opened:
        of_it = [one.said for one in revisions if one.said.opened_s == opened_s]
        assert [said.revision for said in of_it] == list(range(1, len(of_it) + 1))
        assert all(said.moment is not Moment.GONE for said in of_it[:-1])


@given(steps, st.integers(0, 100))
def test_a_snapshot_continues_as_if_nothing_had_happened(readings: list[tuple[float, float, bool]], cut: int) -> None:
    straight, resumed = partition(), partition()
    now_s = 0.0
    for index, (elapsed_s, jump, climbs) in enumerate(readings):
        now_s += elapsed_s
        value = 80 + 2 * now_s if climbs else jump
        batch = [Reading("memory", (), value, now_s)]
        if index == cut:
            fresh = partition()
            fresh.load(resumed.dump())
            resumed = fresh
        assert resumed.readings("catalog", batch, now_s) == straight.readings("catalog", batch, now_s)
    assert resumed.dump() == straight.dump()


@given(st.lists(st.floats(0, 400), min_size=1, max_size=300))
def test_climbs_explain_only_what_they_have_seen(levels: list[float]) -> None:
    climbs = Climbs()
    for second, level in enumerate(levels):
        climbs.add(second, level, 400.0)
    assert not climbs.explain(1.0, 401.0 + 0.1 * 400, 1)


def test_memory_is_bounded_over_months_of_readings() -> None:
    history = History()
    for second in range(200_000):
        history.add(float(second), float(second % 97))
    points = sum(len(level) + len(pending) for level, pending in history.dump())
    assert points <= LEVELS * (CAPACITY + 3)


def test_readings_that_aren_t_numbers_or_come_late_are_passed_over() -> None:
    watched = partition()
    for value, at_s in [(1.0, 10.0), (math.nan, 11.0), (math.inf, 12.0), (2.0, 5.0)]:
        assert not watched.readings("catalog", [Reading("memory", (), value, at_s)], at_s)
    ((_, series, _),) = watched.dump()["catalog"].series
    assert series.last_s == 10.0


def test_a_limit_taken_out_of_the_pack_ends_its_prediction() -> None:
    limits = {"memory": LIMIT}
    watched = Partition(RULES[Sensitivity.MEDIUM], Pace(), lambda _name: Watched(dict(limits)))
    for second in range(40):
        watched.readings("catalog", [Reading("memory", (), 80.0 + 5 * second, float(second))], float(second))
    limits.clear()
    (last,) = watched.readings("catalog", [Reading("memory", (), 300.0, 41.0)], 41.0)
    assert last.said.moment is Moment.GONE
    assert not watched.dump()
