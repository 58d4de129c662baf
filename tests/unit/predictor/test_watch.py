"""When to act: in quiet moments, before the deadline, and without saying the same thing over and over."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from services.predictor.domain.forecast import Forecast
from services.predictor.domain.series import Event
from services.predictor.domain.traffic import Quiet, TrafficMeter
from services.predictor.domain.trend import Trend
from services.predictor.domain.watch import Moment, Pace, Reason, Said, WatchState, step
from shared.packs.model import Traffic

PACE = Pace()


def expect(eta_s: float) -> Forecast:
    trend = Trend(1.0, 0.9, 1.1, 0.0, 5.0, 60.0, 0.0, 30, math.inf)
    return Forecast(trend, 400 - eta_s, 400, eta_s, eta_s * 0.9, eta_s * 1.1, 0.95)


def follow(etas: list[float | None], quiet: Quiet = Quiet.NO, every_s: float = 1.0) -> list[tuple[float, Said]]:
    state, said = WatchState(), []
    for index, eta_s in enumerate(etas):
        now_s = index * every_s
        state, one = step(state, PACE, now_s, Event.NONE, expect(eta_s) if eta_s is not None else None, quiet)
        if one is not None:
            said.append((now_s, one))
    return said


def test_busy_waits_until_the_deadline() -> None:
    said = follow([float(eta) for eta in range(100, 10, -1)])
    assert [one.moment for _, one in said if one.reason is not Reason.HALVED] == [Moment.WAIT, Moment.DEADLINE] + [
        Moment.DEADLINE
    ] * (len(said) - 2 - sum(one.reason is Reason.HALVED for _, one in said))
    at_s, _ = next((at_s, one) for at_s, one in said if one.moment is Moment.DEADLINE)
    assert 100 - at_s == pytest.approx(20 / 0.9, abs=1.5)


def test_a_deadline_doesn_t_pass_again_when_the_estimate_wavers() -> None:
    said = follow([60.0, 60.0, 10.0, 300.0] + [300.0] * 100)
    after = [one.moment for _, one in said[1:]]
    assert set(after) == {Moment.DEADLINE}


def test_quiet_is_said_at_once_and_again_after_a_tenth_of_the_time_left() -> None:
    said = follow([500.0] * 121, Quiet.YES)
    assert [at_s for at_s, _ in said] == [1, 51, 101]
    assert {one.moment for _, one in said} == {Moment.QUIET}


def test_it_is_said_again_when_half_the_time_is_gone() -> None:
    said = follow([float(eta) for eta in range(400, 100, -1)])
    assert [one.reason for _, one in said] == [Reason.OPENED, Reason.HALVED]


def test_an_unknown_traffic_is_not_a_quiet_one() -> None:
    ((_, opened),) = follow([500.0] * 20, Quiet.UNKNOWN)
    assert opened.moment is Moment.WAIT


def test_one_forecast_alone_says_nothing() -> None:
    assert not follow([500.0, None] * 10)


def test_a_few_readings_without_forecast_don_t_end_it_but_five_do() -> None:
    assert follow([500.0] * 2 + [None] * 4 + [500.0])[-1][1].reason is Reason.OPENED
    assert follow([500.0] * 2 + [None] * 5)[-1][1].moment is Moment.GONE


def test_revisions_count_up_and_speech_is_sparse_whatever_comes() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        etas = [rng.choice([None, rng.uniform(0, 4_000)]) for _ in range(300)]
        state, said = WatchState(), []
        for now_s, eta_s in enumerate(etas):
            event = rng.choices(list(Event), [30, 1, 1])[0]
            quiet = rng.choice(list(Quiet))
            state, one = step(state, PACE, now_s, event, expect(eta_s) if eta_s is not None else None, quiet)
            if one is not None:
                said.append((now_s, one))
        by_prediction: dict[float, list[tuple[int, Said]]] = {}
        for now_s, one in said:
            by_prediction.setdefault(one.opened_s, []).append((now_s, one))
        for revisions in by_prediction.values():
            assert [one.revision for _, one in revisions] == list(range(1, len(revisions) + 1))
            assert all(one.moment is not Moment.GONE for _, one in revisions[:-1])
            free = {Reason.DEADLINE, Reason.REACHED, Reason.RESET, Reason.NO_DATA, Reason.FLAT}
            for (before_s, _), (now_s, one) in pairwise(revisions):
                assert one.reason in free or now_s - before_s >= PACE.quiet_gap_s


def test_the_lull_of_a_wave_of_traffic_is_found(world) -> None:
    """Traffic swings between 10 and 50 a second; half of the time it rises."""
    traffic = Traffic(component="catalog", window_s=300, quiet_quantile=0.3)
    rng = random.Random(1)
    served = [0.0]

    def count(t: float) -> float:
        served[0] += 30 + 20 * math.cos(2 * math.pi * served_s[0] / 120) + rng.gauss(0, 1)
        served_s[0] += 1
        return served[0]

    served_s = [0.0]
    wave = world(traffic=traffic)
    wave.run(lambda t: 80 + rng.gauss(0, 0.5), 360, served=count)
    said = wave.run(lambda t: 80 + t + rng.gauss(0, 0.5), 240, served=count)
    quiet = [one for _, one in said if one.said.moment is Moment.QUIET]
    busy = [one for _, one in said if one.said.moment is Moment.WAIT]
    assert quiet
    assert all(one.traffic_per_s < 25 for one in quiet)
    assert all(one.traffic_per_s > 15 for one in busy)


def test_a_counter_that_starts_again_counts_from_zero() -> None:
    meter = TrafficMeter(300, 0.3)
    for second in range(20):
        meter.read(second, {(): 1_000.0 + 10 * second})
    meter.read(20, {(): 10.0})
    assert meter.rate(20) == pytest.approx(10)


def test_traffic_that_is_no_longer_read_is_unknown() -> None:
    meter = TrafficMeter(300, 0.3)
    for second in range(20):
        meter.read(second, {(): 10.0 * second})
    assert meter.quiet(20) is not Quiet.UNKNOWN
    assert meter.quiet(60) is Quiet.UNKNOWN


def test_a_new_label_set_counts_and_an_old_one_stays() -> None:
    meter = TrafficMeter(300, 0.3)
    meter.read(0, {(("status", "200"),): 100.0})
    meter.read(1, {(("status", "200"),): 105.0, (("status", "500"),): 5.0})
    assert meter.rate(1) == pytest.approx(10)
