"""How confidences are made to mean something: in worlds where it is known how often a diagnosis is right."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.diagnoser.domain.calibration import Calibrator, brier, expected_calibration_error, learn, reliability
from services.diagnoser.domain.evidence import CERTAIN
from services.diagnoser.domain.history import Judged
from services.diagnoser.domain.judging import End, was_right
from shared.packs import Category

judgements = st.lists(
    st.builds(
        Judged,
        component=st.just("a"),
        pattern=st.just("p"),
        category=st.just(Category.CRASH),
        signature=st.sampled_from(["x", "y"]),
        raw=st.floats(0, 1),
        told=st.floats(0, 1),
        right=st.booleans(),
    ),
    max_size=30,
)


def case(signature: str, raw: float, right: bool) -> Judged:
    return Judged("a", "p", Category.CRASH, signature, raw, raw, right)


def sampled(count: int, seed: int, truth: Callable[[float], float]) -> list[Judged]:
    """Cases whose raw confidence is right as often as `truth` says."""
    chance = random.Random(seed)
    raws = [chance.uniform(0.5, 0.97) for _ in range(count)]
    return [case(f"s{chance.randrange(5)}", raw, chance.random() < truth(raw)) for raw in raws]


def errors(calibrator: Calibrator, cases: list[Judged]) -> tuple[float, float]:
    """Brier score of calibrated and of raw confidence."""
    told = brier([(calibrator(one.signature, one.raw), one.right) for one in cases])
    raw = brier([(one.raw, one.right) for one in cases])
    assert told is not None
    assert raw is not None
    return told, raw


def test_overconfidence_is_found_and_taken_back() -> None:
    def truth(raw: float) -> float:
        return 1 / (1 + math.exp(-(0.6 * math.log(raw / (1 - raw)) - 0.5)))

    calibrator = learn(sampled(300, 1, truth))
    told, raw = errors(calibrator, sampled(3_000, 2, truth))
    assert told < raw - 0.02


def test_honest_confidence_is_left_nearly_as_it_is() -> None:
    calibrator = learn(sampled(300, 3, lambda raw: raw))
    told, raw = errors(calibrator, sampled(3_000, 4, lambda raw: raw))
    assert told < raw + 0.005


@pytest.mark.parametrize(("refuted", "least", "most"), [(0, 0.95, 0.95), (1, 0.84, 0.87), (3, 0.6, 0.75)])
def test_few_bad_experiences_lower_it_by_degrees(refuted: int, least: float, most: float) -> None:
    calibrator = learn([case("x", 0.95, False)] * refuted)
    assert least <= calibrator("x", 0.95) <= most
    assert calibrator("other", 0.95) >= calibrator("x", 0.95)


@given(judgements, st.sampled_from(["x", "never-seen"]), st.floats(0, 1))
def test_it_stays_a_probability_and_is_never_certain(judged: list[Judged], signature: str, raw: float) -> None:
    assert 0 < learn(judged)(signature, raw) <= CERTAIN


@given(judgements, st.floats(0, 1), st.floats(0, 1))
def test_more_raw_confidence_is_never_worth_less(judged: list[Judged], one: float, other: float) -> None:
    calibrator = learn(judged)
    low, high = sorted((one, other))
    assert calibrator("x", low) <= calibrator("x", high)


@given(judgements, st.randoms())
def test_the_order_of_outcomes_does_not_matter(judged: list[Judged], shuffler: random.Random) -> None:
    mixed = judged[:]
    shuffler.shuffle(mixed)
    assert learn(mixed)("x", 0.8) == learn(judged)("x", 0.8)


def test_the_figures_of_known_pairs() -> None:
    pairs = [(0.9, True), (0.9, True), (0.9, False), (0.3, False)]
    assert brier(pairs) == pytest.approx((0.01 + 0.01 + 0.81 + 0.09) / 4)
    assert expected_calibration_error(pairs) == pytest.approx((3 * abs(0.9 - 2 / 3) + 0.3) / 4)
    assert [(one.low, one.cases) for one in reliability(pairs)] == [(0.3, 1), (0.9, 3)]
    assert brier([]) is None
    assert expected_calibration_error([]) is None


@pytest.mark.parametrize(
    ("end", "applied", "dry_run", "seen", "right"),
    [
        (End.SUCCEEDED, True, False, None, True),
        (End.SUCCEEDED, True, False, False, False),
        (End.ROLLED_BACK, True, False, None, False),
        (End.ROLLED_BACK, True, False, True, False),
        (End.FAILED, True, False, None, False),
        (End.FAILED, False, False, None, None),
        (End.SKIPPED, False, False, None, None),
        (End.SUCCEEDED, True, True, None, None),
    ],
)
def test_what_the_end_of_a_repair_says_of_the_cause(
    end: End, applied: bool, dry_run: bool, seen: bool | None, right: bool | None
) -> None:
    assert was_right(end, applied=applied, dry_run=dry_run, seen_to_help=seen) is right
