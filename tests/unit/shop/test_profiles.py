"""The traffic's shapes, without waiting for them."""

import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from examples.shop.profiles import BUSY_S, PROFILES, QUIET_S, QUIET_SHARE, bursts, waves


@given(seed=st.integers(), name=st.sampled_from(sorted(PROFILES)))
def test_every_profile_goes_on_and_never_stops_the_traffic(seed: int, name: str) -> None:
    segments = list(islice(PROFILES[name](random.Random(seed)), 50))
    assert len(segments) == 50
    assert all(length_s > 0 and share > 0 for length_s, share in segments)


@given(seed=st.integers())
def test_bursts_are_three_to_five_times_the_usual_and_end(seed: int) -> None:
    segments = list(islice(bursts(random.Random(seed)), 60))
    rushes, calms = segments[::2], segments[1::2]
    assert all(3 <= share <= 5 and length_s <= 2.5 for length_s, share in rushes)
    assert all(share <= 1 for _length_s, share in calms)
    assert len({length_s for length_s, _share in calms}) > 10  # irregular: nothing to learn


def test_waves_are_regular() -> None:
    assert list(islice(waves(random.Random(1)), 4)) == [(BUSY_S, 1.0), (QUIET_S, QUIET_SHARE)] * 2
