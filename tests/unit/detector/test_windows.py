"""Sums over the last seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.windows import SlidingSum


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9)), min_size=1, max_size=50))
def test_the_sum_lies_between_nine_tenths_of_the_window_and_the_whole(adds: list[tuple[float, int]]) -> None:
    window, now, seen = SlidingSum(10.0), 1_000.0, []
    for pause, amount in adds:
        now += pause
        window.add(now, amount)
        seen.append((now, amount))
    within = sum(amount for at, amount in seen if at > now - 10)
    surely = sum(amount for at, amount in seen if at > now - 9)
    assert surely <= window.total(now) <= within


def test_what_is_older_than_the_window_is_left_out() -> None:
    window = SlidingSum(10.0)
    window.add(100.0, 1.0)
    window.add(80.0, 7.0)
    assert window.total(100.0) == 1.0
