"""Predictions of a series are believed as far as those before it came true."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.predictor.domain.trust import TrackRecord, believed

records = st.builds(TrackRecord, st.integers(0, 200), st.integers(0, 200))


@given(st.floats(0, 1), records)
def test_it_stays_between_what_is_computed_and_what_came(probability: float, record: TrackRecord) -> None:
    found = believed(probability, record)
    known = record.right + record.false
    rate = record.right / known if known else probability
    assert min(probability, rate) - 1e-4 <= found <= max(probability, rate) + 1e-4


def test_a_series_that_cried_wolf_is_believed_less_each_time() -> None:
    told = [believed(0.95, TrackRecord(0, false)) for false in range(10)]
    assert told == sorted(told, reverse=True)
    assert told[0] == 0.95
    assert told[-1] < 0.35


def test_without_a_record_it_is_as_computed() -> None:
    assert believed(0.87, None) == 0.87
