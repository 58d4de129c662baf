"""What counts as an attempt, and how much confidence it is worth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.learner.domain.knowledge import Tally, confidence_shift, slug
from services.learner.domain.outcomes import (
    Attempt,
    End,
    Validated,
    brier,
    is_attempt,
    learning_curve,
    lesson,
    quality,
    validated,
)
from services.learner.domain.thresholds import proposed_threshold
from shared.contracts.base import Token

attempts = st.lists(st.builds(Attempt, st.floats(0, 1), st.booleans()), max_size=200)


@pytest.mark.parametrize(("base", "rate", "adjusted"), [(0.70, 0.80, 0.76), (0.70, 0.85, 0.77), (0.85, 0.5, 0.85)])
def test_confidence_moves_as_required(base: float, rate: float, adjusted: float) -> None:
    assert base + confidence_shift(rate) == pytest.approx(adjusted)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_better_record_never_lowers_confidence(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert -0.1 <= confidence_shift(low) <= confidence_shift(high) <= 0.1


def test_an_unknown_pair_moves_nothing() -> None:
    assert confidence_shift(Tally(0, 0).success_rate) == 0


@pytest.mark.parametrize("end", End)
def test_only_what_was_really_tried_is_an_attempt(end: End) -> None:
    assert not is_attempt(end, dry_run=True)
    assert is_attempt(end, dry_run=False) == (end is not End.SKIPPED)


def test_ends_map_to_validation_and_quality() -> None:
    assert [validated(end) for end in End] == [Validated.PASSED, Validated.FAILED, Validated.FAILED, Validated.NOT_RUN]
    assert quality(End.SUCCEEDED, None) > quality(End.ROLLED_BACK, None) > quality(End.FAILED, None)
    assert quality(End.SUCCEEDED, False) == 0
    assert quality(End.FAILED, True) == 1


@given(st.text(max_size=300), st.text(max_size=100))
def test_every_pair_has_a_slug_that_is_a_token(signature: str, playbook: str) -> None:
    TypeAdapter(Token).validate_python(slug(signature, playbook))


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_different_pairs_have_different_slugs(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (slug(*one) == slug(*other)) == (one == other)


def test_a_slug_can_be_read() -> None:
    assert slug("crash:process-exited", "restart-it").startswith("crash-process-exited-restart-it-")


def test_a_lesson_holds_the_record_and_what_was_seen() -> None:
    said = lesson("restart-it", "crash:process-exited", "catalog", End.SUCCEEDED, False, Tally(8, 6))
    assert "restart-it healed catalog (crash:process-exited)" in said
    assert "did not help" in said
    assert said.endswith("6 of 8 so far")


def test_brier_knows_perfect_and_useless() -> None:
    assert brier([Attempt(1.0, True), Attempt(0.0, False)]) == 0
    assert brier([Attempt(0.5, True), Attempt(0.5, False)]) == 0.25
    assert brier([]) is None


@given(attempts)
def test_the_curve_accounts_for_every_attempt(found: list[Attempt]) -> None:
    curve = learning_curve(found)
    assert len(curve) == min(10, len(found))
    assert all(0 <= rate <= 1 for rate in curve)
    if found and len(found) % 10 == 0:
        assert sum(curve) / 10 == pytest.approx(sum(one.success for one in found) / len(found))


@given(attempts)
def test_a_proposed_threshold_has_evidence(found: list[Attempt]) -> None:
    threshold = proposed_threshold(found)
    if threshold is not None:
        above = [one for one in found if one.confidence >= threshold]
        assert len(above) >= 20
        assert sum(one.success for one in above) >= 0.9 * len(above)


def test_a_threshold_is_found_where_success_begins() -> None:
    rng = random.Random(1)
    found = [Attempt(confidence, rng.random() < (0.97 if confidence >= 0.8 else 0.4))
             for confidence in (rng.uniform(0.6, 1) for _ in range(2_000))]  # fmt: skip
    assert proposed_threshold(found) == pytest.approx(0.78, abs=0.04)


def test_it_is_not_proposed_to_go_below_what_was_tried() -> None:
    assert proposed_threshold([Attempt(0.9, True)] * 50) == pytest.approx(0.89, abs=0.011)
