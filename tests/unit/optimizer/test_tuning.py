"""Timeouts move towards what calls really take: on evidence, in small steps, within bounds and within the guard."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.optimizer.domain import words
from services.optimizer.domain.latency import Latency
from services.optimizer.domain.tuning import Dial, Reason, Rules, Tuning, settle, tune

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.5, math.inf)
DIAL = Dial(50, 5_000, 1.5, 0.001)
RULES = Rules()


def calls(span_s: float = 300, errors: float = 0.0, **at: int) -> Latency:
    """`calls(b50=990, b300=10)`: so many calls in the bucket that ends at that many milliseconds."""
    per_bound = {float(name[1:]) / 1_000: count for name, count in at.items()}
    cumulative, total = [], 0.0
    for bound in BOUNDS:
        total += per_bound.get(bound, 0)
        cumulative.append(total)
    return Latency(BOUNDS, tuple(cumulative), span_s, errors)


FAST = calls(b25=900, b50=95, b100=5)


def tuned(found: Tuning | Reason) -> Tuning:
    assert isinstance(found, Tuning), found
    return found


def test_a_generous_timeout_is_lowered_by_one_step() -> None:
    found = tuned(tune(FAST, DIAL, 400, 400, RULES))
    assert found.reason is Reason.LOWER
    assert found.recommended == 267  # 400 / 1.5, not at once the 75 ms that would do


def test_step_by_step_it_ends_above_the_99th_percentile_and_stays() -> None:
    current, steps = 400.0, 0
    while isinstance(found := tune(FAST, DIAL, current, None, RULES), Tuning):
        current, steps = found.recommended, steps + 1
    assert found is Reason.CLOSE
    assert steps < 8
    p99_ms = FAST.quantile(0.99).value_s * 1_000
    assert p99_ms * 1.3 <= current <= p99_ms * 1.7


def test_a_timeout_that_cuts_off_calls_is_raised_by_one_step() -> None:
    found = tuned(tune(calls(b50=950, b100=20, b500=30), DIAL, 400, 400, RULES))
    assert (found.reason, found.recommended) == (Reason.RAISE, 600)


def test_an_incident_is_no_reason_to_tune() -> None:
    """Half of the calls run into the time-out, or a fifth of the answers are errors."""
    assert tune(calls(b50=500, b500=500), DIAL, 400, 400, RULES) is Reason.DISTURBED
    assert tune(calls(errors=0.2, b25=1_000), DIAL, 400, 400, RULES) is Reason.DISTURBED


@pytest.mark.parametrize(
    ("latency", "reason"),
    [(calls(b25=299), Reason.TOO_FEW), (calls(span_s=20, b25=2_000), Reason.TOO_SHORT), (calls(), Reason.TOO_FEW)],
)
def test_without_evidence_nothing_is_said(latency: Latency, reason: Reason) -> None:
    assert tune(latency, DIAL, 400, 400, RULES) is reason


def test_the_guard_has_the_last_word() -> None:
    shaky = calls(errors=0.02, b25=900, b50=95, b100=5)
    assert tune(shaky, DIAL, 400, 400, RULES, lambda ratio: ratio < 0.01) is Reason.GUARDED
    assert isinstance(tune(FAST, DIAL, 400, 400, RULES, lambda ratio: ratio < 0.01), Tuning)


def test_not_knowing_the_value_now_needs_a_person() -> None:
    """0.4 is the default risk limit, which confidence cannot buy off."""
    assert tuned(tune(FAST, DIAL, None, 400, RULES)).risk > 0.4
    assert tuned(tune(FAST, DIAL, 400, 400, RULES)).risk < 0.4


def test_conservative_mode_takes_half_steps() -> None:
    assert tuned(tune(FAST, DIAL, 400, 400, Rules(conservative=True))).recommended == 320


def test_with_ten_thousand_calls_one_in_a_thousand_counts() -> None:
    long_tail = calls(b25=20_000, b300=100)
    assert tuned(tune(long_tail, DIAL, 400, 400, RULES)).recommended == pytest.approx(0.2805 * 1.1 * 1_000, abs=30)


def test_seconds_stay_fractions() -> None:
    found = tuned(tune(FAST, Dial(0.05, 5, 1.5, 1.0), 0.4, None, RULES))
    assert found.recommended == pytest.approx(0.4 / 1.5, rel=1e-3)


def test_words_hold_the_numbers() -> None:
    lower = tuned(tune(FAST, DIAL, 400, 400, RULES))
    assert "267 ms instead of 400 ms, 33% sooner" in words.improvement(lower, "ms")
    assert "1000 calls in 300 s" in words.evidence(lower, "upstream_request_duration_seconds")
    higher = tuned(tune(calls(b50=950, b100=20, b500=30), DIAL, 400, 400, RULES))
    assert "with 600 ms" in words.improvement(higher, "ms")


histograms = st.lists(st.integers(0, 3_000), min_size=len(BOUNDS), max_size=len(BOUNDS)).map(
    lambda found: Latency(BOUNDS, tuple(float(sum(found[: i + 1])) for i in range(len(found))), 300.0, 0.0)
)
dials = st.builds(
    lambda low, width, ratio: Dial(low, low + width, ratio, 0.001),
    st.floats(1, 1_000),
    st.floats(0.5, 5_000),
    st.floats(1.05, 10),
)


@given(histograms, dials, st.floats(1, 10_000) | st.none(), st.booleans())
def test_no_latency_leads_out_of_bounds_or_past_one_step(
    latency: Latency, dial: Dial, current: float | None, conservative: bool
) -> None:
    found = tune(latency, dial, current, None, Rules(conservative=conservative))
    if isinstance(found, Tuning):
        assert dial.minimum <= found.recommended <= dial.maximum
        assert 0 <= found.risk <= 1
        if current is not None and dial.minimum <= current <= dial.maximum:
            assert current / dial.step_ratio * 0.999 <= found.recommended <= current * dial.step_ratio * 1.001


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e5) | st.none(), dials)
def test_settling_twice_is_settling_once(wanted: float, anchor: float | None, dial: Dial) -> None:
    once = settle(wanted, anchor, dial, dial.step_ratio)
    assert settle(once, anchor, dial, dial.step_ratio) == once


@given(histograms, dials, st.floats(0, 1))
def test_following_the_advice_comes_to_rest(latency: Latency, dial: Dial, start: float) -> None:
    """No oscillation between a value that is found too tight and one that is found too generous."""
    current = dial.minimum + start * (dial.maximum - dial.minimum)
    for _ in range(250):
        found = tune(latency, dial, current, None, RULES)
        if not isinstance(found, Tuning):
            return
        current = found.recommended
    pytest.fail(f"still {found}")
