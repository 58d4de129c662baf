"""Leaks of seconds and of weeks are seen in time; what only looks like one is not."""

from __future__ import annotations

import math
import random

import pytest

from services.predictor.domain.watch import Moment, Reason


def leak(rng: random.Random, slope: float, noise: float = 1.0, base: float = 80.0):
    return lambda t: base + slope * t + rng.gauss(0, noise)


@pytest.mark.parametrize("seed", range(10))
def test_a_fast_leak_is_predicted_within_seconds(world, opened, seed) -> None:
    said = world().run(leak(random.Random(seed), 5), 64)
    ((at_s, first),) = opened(said)
    assert at_s <= 20
    assert first.said.forecast.eta_s == pytest.approx(64 - at_s, rel=0.2)
    assert first.said.forecast.probability > 0.8


@pytest.mark.parametrize("seed", range(10))
def test_a_leak_that_begins_after_a_long_calm_is_seen_as_fast(world, opened, seed) -> None:
    calm = world()
    rng = random.Random(seed)
    assert not calm.run(lambda _t: 80 + rng.gauss(0, 1), 900)
    ((at_s, _),) = opened(calm.run(leak(rng, 5), 60))
    assert at_s - 900 <= 20


@pytest.mark.parametrize("seed", range(3))
def test_a_leak_of_days_is_predicted_days_ahead(world, opened, seed) -> None:
    day = 86_400.0
    slow = world(horizon_s=5 * day, every_s=60)
    said = slow.run(leak(random.Random(seed), 320 / (5 * day), noise=4), 2.5 * day)
    assert opened(said)
    at_s, first = opened(said)[0]
    assert at_s < 2 * day
    assert first.said.forecast.eta_s == pytest.approx(5 * day - at_s, rel=0.25)


def test_the_interval_holds_the_true_time_about_nine_times_in_ten(world, opened) -> None:
    """Simulated: 200 leaks of different speed and noise; the first thing said of each."""
    inside = said = 0
    for seed in range(200):
        rng = random.Random(seed)
        slope, noise = rng.uniform(2, 8), rng.uniform(0.2, 4)
        lasts_s = 320 / slope
        for at_s, one in opened(world().run(leak(rng, slope, noise), lasts_s))[:1]:
            said += 1
            inside += one.said.forecast.eta_low_s <= lasts_s - at_s <= one.said.forecast.eta_high_s
    assert said >= 190
    assert inside / said >= 0.85


HARMLESS = {
    "flat": lambda rng: lambda t: 200 + rng.gauss(0, 5),
    "noisy": lambda rng: lambda t: 200 + rng.gauss(0, 30),
    "noise near the limit": lambda rng: lambda t: 330 + rng.gauss(0, 20),
    "sawtooth": lambda rng: lambda t: 100 + (t % 60) / 2 + rng.gauss(0, 1),
    "bursts": lambda rng: lambda t: 120 + rng.gauss(0, 4) + (rng.random() < 0.02) * rng.uniform(50, 250),
    "long bursts": lambda rng: lambda t: 120 + rng.gauss(0, 4) + (150 if t % 400 < 30 else 0),
    "step": lambda rng: lambda t: 120 + rng.gauss(0, 4) + (150 if t > 300 else 0),
    "warm-up": lambda rng: lambda t: 80 + 120 * (1 - math.exp(-t / 60)) + rng.gauss(0, 2),
    "falling": lambda rng: lambda t: 380 - t / 8 + rng.gauss(0, 2),
    "constant": lambda rng: lambda t: 399.0,
    "beyond the limit from the start": lambda rng: lambda t: 500 + rng.gauss(0, 2),
}


@pytest.mark.parametrize("shape", HARMLESS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_no_leak_is_not_predicted(world, shape, seed) -> None:
    assert not world().run(HARMLESS[shape](random.Random(seed)), 1_500)


def test_steep_collector_teeth_deceive_once_where_the_start_time_is_known(world, opened) -> None:
    """The first tooth can't be told from a leak; what the climb came to is remembered."""
    rng = random.Random(1)
    said = world().run(lambda t: 100 + (t % 60) * 100 / 60 + rng.gauss(0, 1), 1_800, started_s=5.0)
    assert len(opened(said)) <= 1


def test_steep_collector_teeth_deceive_twice_where_it_is_unknown(world, opened) -> None:
    rng = random.Random(1)
    said = world().run(lambda t: 100 + (t % 60) * 100 / 60 + rng.gauss(0, 1), 1_800)
    assert len(opened(said)) <= 2


def test_a_leak_after_a_restart_is_a_new_one_however_often(world, opened) -> None:
    """Unlike a collector's teeth: the process started anew, so its past says nothing."""
    looping = world()
    rng = random.Random(2)
    for start in range(6):
        said = looping.run(leak(rng, 5), 30, started_s=1_000.0 + start)
        assert len(opened(said)) == 1


def test_repairs_without_a_known_start_time_keep_leaks_predictable(world, opened) -> None:
    looping = world()
    rng = random.Random(3)
    for _ in range(6):
        assert len(opened(looping.run(leak(rng, 5), 30))) == 1
        looping.partition.changed("catalog")


def test_a_restart_ends_the_prediction(world) -> None:
    healed = world()
    rng = random.Random(4)
    healed.run(leak(rng, 5), 30, started_s=1.0)
    (_, last) = healed.run(lambda t: 80 + rng.gauss(0, 1), 20, started_s=2.0)[-1]
    assert last.said.moment is Moment.GONE
    assert last.said.reason is Reason.RESET


def test_a_leak_that_stops_is_taken_back(world) -> None:
    stopped = world()
    rng = random.Random(5)
    stopped.run(leak(rng, 5), 30)
    (at_s, last) = stopped.run(lambda t: 230 + rng.gauss(0, 1), 120)[-1]
    assert (last.said.moment, last.said.reason) == (Moment.GONE, Reason.FLAT)
    assert at_s < 90


def test_one_failed_scrape_is_no_restart(world) -> None:
    watched = world()
    rng = random.Random(6)
    watched.run(leak(rng, 4), 30)
    watched.run(lambda t: 0.0, 1)
    said = watched.run(leak(rng, 4, base=204), 10)
    assert all(one.said.moment is not Moment.GONE for _, one in said)


def test_silence_ends_the_prediction(world) -> None:
    silent = world()
    rng = random.Random(7)
    silent.run(leak(rng, 4), 30)
    silent.now_s += 600
    ((_, last),) = silent.run(leak(rng, 4, base=200), 5)
    assert last.said.reason is Reason.NO_DATA
