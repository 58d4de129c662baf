"""Confidence from a diagnosis and a record: what raises it, what lowers it, and whether it tells the truth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decider.domain import Inputs, Record
from services.decider.domain.beta import beta_cdf, beta_quantile
from services.decider.domain.calibration import Foretold, calibration
from services.decider.domain.confidence import evidence, posterior, shifted
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.record import dump_inputs, load_inputs
from tests.unit.decider.scenes import NOW, case, target

MODEL = ConfidenceModel()
bases = st.floats(0.05, 0.99)
successes = st.integers(0, 60)
failures = st.integers(0, 60)


@pytest.mark.parametrize(
    ("x", "a", "b", "share"),
    [(0.25, 1, 1, 0.25), (0.5, 5, 5, 0.5), (0.9, 3, 1, 0.729), (0.2, 1, 2, 0.36), (0.1, 0.5, 0.5, 0.204833)],
)
def test_the_beta_distribution_is_as_in_tables(x: float, a: float, b: float, share: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(share, abs=1e-6)
    assert beta_quantile(share, a, b) == pytest.approx(x, abs=1e-5)


@given(bases)
def test_without_a_record_confidence_is_the_diagnosis_s(base: float) -> None:
    assert posterior(base, (0, 0), MODEL).confidence == base


@given(bases, successes, failures)
def test_a_success_never_lowers_confidence_and_a_failure_never_raises_it(base: float, good: int, bad: int) -> None:
    now = posterior(base, (good + bad, good), MODEL)
    assert posterior(base, (good + bad + 1, good + 1), MODEL).confidence >= now.confidence - 1e-4
    assert posterior(base, (good + bad + 1, good), MODEL).confidence <= now.confidence + 1e-4


@given(bases, bases, successes, failures)
def test_a_surer_diagnosis_never_gives_less_confidence(one: float, other: float, good: int, bad: int) -> None:
    low, high = sorted((one, other))
    record = (good + bad, good)
    assert posterior(low, record, MODEL).confidence <= posterior(high, record, MODEL).confidence + 1e-4


@given(bases, successes, failures)
def test_the_bound_lies_below_the_chance(base: float, good: int, bad: int) -> None:
    sure = posterior(base, (good + bad, good), MODEL)
    assert 0.0 <= sure.confidence <= 1.0
    assert 0.0 <= sure.expected <= 1.0
    if good + bad:
        assert sure.confidence <= sure.expected + 0.05 or sure.expected < 0.1


def test_a_playbook_that_always_fails_is_not_run_alone_for_ever() -> None:
    """What the shift by success rate can't do: it takes away ten points at most."""
    hopeless = Record("s", "p", 50, 0, 0.0, -0.1)
    assert shifted(0.95, hopeless) >= 0.85
    assert posterior(0.95, evidence(hopeless, "web"), MODEL).confidence < 0.2


def test_runs_on_other_kinds_of_component_count_half() -> None:
    record = Record("s", "p", 10, 10, 1.0, 0.1, of_kind={"worker": (10, 10)})
    assert evidence(record, "worker") == (10, 10)
    assert evidence(record, "web") == (5, 5)
    assert evidence(None, "web") == (0, 0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_evidence_is_never_more_successes_than_runs(runs: int, good: int, there: int, there_good: int) -> None:
    """Words from outside turn outcomes over: the learner's record then differs from the decider's own count."""
    record = Record("s", "p", runs, min(good, runs), 0.5, 0.0, of_kind={"other": (there, min(there_good, there))})
    n, s = evidence(record, "web")
    assert 0.0 <= s <= n <= runs


def test_a_calibrated_forecast_has_a_small_error_and_a_sure_wrong_one_a_large_one() -> None:
    rng = random.Random(1)
    chances = [rng.random() for _ in range(4_000)]
    honest = calibration([Foretold(chance, rng.random() < chance) for chance in chances])
    boaster = calibration([Foretold(0.99, rng.random() < 0.5) for _ in range(4_000)])
    assert honest is not None
    assert boaster is not None
    assert honest.error < 0.03
    assert boaster.error == pytest.approx(0.49, abs=0.03)
    assert honest.brier < boaster.brier
    assert [one.runs for one in boaster.curve] == [4_000]
    assert calibration([]) is None


def test_a_record_of_before_there_were_models_is_decided_as_it_was() -> None:
    stored = dump_inputs(Inputs(now=NOW, case=case(), targets={"payments": target()}))
    del stored["model"]
    del stored["targets"]["payments"]["policy"]["confidence_model"]
    assert load_inputs(stored).targets["payments"].policy.confidence_model == "record-shift"
