"""When evidence is thin: which single look would settle it best."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.diagnoser.domain import ComponentFacts
from services.diagnoser.domain.evidence import Cause
from services.diagnoser.domain.next_observation import (
    OBSERVABLES,
    beliefs,
    entropy_bits,
    expected_gain_bits,
    next_observation,
)
from shared.packs import Category
from tests.unit.diagnoser.test_diagnose import changed, conclude, incident


def cause(category: Category, confidence: float) -> Cause:
    return Cause("a", category, confidence, f"{category.value}:p", ())


def test_of_two_candidates_the_question_that_tells_them_apart_is_asked() -> None:
    candidates = [cause(Category.CRASH, 0.5), cause(Category.TIMEOUT, 0.5)]
    found = next_observation("a", candidates, seen=())
    assert found is not None
    assert (found.name, found.if_yes, found.if_no) == ("process-exited", Category.CRASH, Category.TIMEOUT)
    assert found.gain_bits > 0.7


def test_what_is_answered_is_not_asked_again() -> None:
    candidates = [cause(Category.CRASH, 0.5), cause(Category.TIMEOUT, 0.5)]
    by_name = next_observation("a", candidates, seen=(), answered=["process-exited"])
    by_word = next_observation("a", candidates, seen=["exited"])
    assert by_name is None or by_name.name != "process-exited"
    assert by_word is None or by_word.name != "process-exited"


def test_strong_evidence_asks_nothing_and_thin_evidence_says_so() -> None:
    assert conclude(incident("payments", "process-exited")).next_observation is None
    thin = conclude(incident("catalog", "error-ratio"))
    assert thin.best.category is Category.UNKNOWN
    assert thin.next_observation is not None
    assert f"What would settle it best: {thin.next_observation.question}" in thin.report


def test_a_watched_process_and_a_known_change_are_not_asked_for() -> None:
    watched = {"catalog": ComponentFacts("catalog", process_watched=True)}
    one, old = incident("catalog", "http-refused"), [changed("catalog", "config", -1_700)]
    found = conclude(one, components=watched, changes=old).next_observation
    assert found is None or found.name not in {"process-exited", "config-changed"}


def test_a_symptom_is_looked_into_at_its_cause() -> None:
    assert conclude(incident("orders", "error-ratio", 1), incident("payments", "http-slow")).next_observation is None


@given(st.dictionaries(st.sampled_from(Category), st.floats(0, 1), min_size=1))
def test_a_question_never_costs_knowledge(confidences: dict[Category, float]) -> None:
    belief = beliefs([cause(category, confidence) for category, confidence in confidences.items()])
    for observable in OBSERVABLES:
        gain = expected_gain_bits(belief, observable)
        assert -1e-9 <= gain <= min(1.0, entropy_bits(belief)) + 1e-9
