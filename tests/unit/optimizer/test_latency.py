"""Latency from cumulative buckets: right quantiles, whatever restarts, gaps and late series do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.optimizer.domain.latency import Latency, Window

BOUNDS = (0.05, 0.1, 0.2, 0.4, math.inf)
counts = st.lists(st.integers(0, 500), min_size=len(BOUNDS), max_size=len(BOUNDS)).filter(lambda found: sum(found) > 0)


def latency(per_bucket: list[int]) -> Latency:
    cumulative = [float(sum(per_bucket[: index + 1])) for index in range(len(per_bucket))]
    return Latency(BOUNDS, tuple(cumulative), 60.0)


def read(window: Window, at_s: float, cumulative: list[float]) -> None:
    assert window.begin(at_s)
    for bound, count in zip(("0.05", "0.1", "0.2", "0.4", "+Inf"), cumulative, strict=True):
        window.bucket(bound, window.increase("m", (("le", bound),), count))
    window.end(at_s)


def test_quantiles_are_linear_within_a_bucket() -> None:
    even = latency([100, 100, 0, 0, 0])
    assert even.quantile(0.25).value_s == pytest.approx(0.025)
    assert even.quantile(0.75).value_s == pytest.approx(0.075)


def test_calls_beyond_the_last_bound_are_said_to_be_beyond() -> None:
    found = latency([10, 0, 0, 0, 90]).quantile(0.99)
    assert (found.value_s, found.beyond) == (0.4, True)


def test_without_samples_there_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Latency((), (), 0.0).quantile(0.5)


@given(counts, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_with_the_share(per_bucket: list[int], one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = latency(per_bucket)
    assert found.quantile(low).value_s <= found.quantile(high).value_s + 1e-12


@given(counts, st.floats(0.01, 0.99))
def test_share_above_undoes_a_quantile(per_bucket: list[int], share: float) -> None:
    found = latency(per_bucket)
    at = found.quantile(share)
    if not at.beyond:
        assert found.share_above(at.value_s) <= 1 - share + 1e-9


@given(counts, st.floats(0, 2))
def test_shares_are_shares(per_bucket: list[int], time_s: float) -> None:
    assert -1e-12 <= latency(per_bucket).share_above(time_s) <= 1


def test_the_first_reading_is_only_where_counting_begins() -> None:
    window = Window(120)
    read(window, 0, [900, 950, 990, 1_000, 1_000])
    assert window.latency().samples == 0
    read(window, 10, [990, 1_045, 1_090, 1_100, 1_100])
    assert window.latency().samples == 100


def test_a_restart_counts_from_zero() -> None:
    window = Window(120)
    read(window, 0, [900, 950, 990, 1_000, 1_000])
    read(window, 10, [9, 10, 10, 10, 10])
    assert window.latency().samples == 10


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = Window(120)
    read(window, 0, [0.0] * 5)
    for second in range(10, 400, 10):
        read(window, second, [second * 1.0] * 5)
    assert 110 <= window.latency().samples <= 130
    assert window.latency().span_s == pytest.approx(120)


def test_after_a_long_silence_counting_begins_anew() -> None:
    window = Window(120)
    read(window, 0, [0.0] * 5)
    read(window, 10, [10.0] * 5)
    read(window, 1_000, [5_000.0] * 5)
    assert window.latency().samples == 0


def test_a_late_or_repeated_reading_changes_nothing() -> None:
    window = Window(120)
    read(window, 0, [0.0] * 5)
    read(window, 10, [10.0] * 5)
    assert not window.begin(10)
    assert not window.begin(5)


@given(st.lists(st.lists(st.integers(0, 1_000), min_size=5, max_size=5), min_size=2, max_size=40))
def test_no_readings_give_falling_counts(readings: list[list[int]]) -> None:
    window = Window(120)
    for index, cumulative in enumerate(readings):
        read(window, index * 10.0, [float(count) for count in cumulative])
    found = window.latency()
    assert list(found.cumulative) == sorted(found.cumulative)


@given(st.lists(st.lists(st.integers(0, 1_000), min_size=5, max_size=5), min_size=2, max_size=20), st.integers(0, 20))
def test_a_snapshot_continues_as_if_nothing_had_happened(readings: list[list[int]], cut: int) -> None:
    straight, resumed = Window(120), Window(120)
    for index, cumulative in enumerate(readings):
        if index == cut:
            fresh = Window(120)
            fresh.load(resumed.dump())
            resumed = fresh
        for window in (straight, resumed):
            read(window, index * 10.0, [float(count) for count in cumulative])
    assert resumed.latency() == straight.latency()
    assert resumed.dump() == straight.dump()
