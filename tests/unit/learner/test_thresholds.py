"""Which other threshold is proposed, and that none is without evidence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.learner.domain.thresholds import DOWN, MOST_WRONG, UP, Gated, effect, propose

gated = st.lists(st.builds(Gated, st.floats(0.5, 1), st.sampled_from([True, False, None])), max_size=120)


def decided(confidence: float, right: int, wrong: int = 0, unknown: int = 0) -> list[Gated]:
    outcomes: list[bool | None] = [*[True] * right, *[False] * wrong, *[None] * unknown]
    return [Gated(confidence, one) for one in outcomes]


def test_what_was_asked_for_and_right_may_act_alone() -> None:
    found = propose(decided(0.9, right=20) + decided(0.83, right=20), now=0.85)
    assert found is not None
    assert found.proposed == 0.8
    assert (found.effect_now.alone, found.effect.alone) == (0.5, 1.0)
    assert found.effect.wrong_high <= MOST_WRONG


def test_too_few_outcomes_propose_nothing() -> None:
    assert propose(decided(0.9, right=5) + decided(0.83, right=20), now=0.85) is None


def test_what_people_refused_is_not_let_act_alone() -> None:
    assert propose(decided(0.9, right=40) + decided(0.83, right=20, wrong=10), now=0.85) is None


def test_nobody_s_answer_is_no_evidence() -> None:
    assert propose(decided(0.9, right=40) + decided(0.83, right=0, unknown=50), now=0.85) is None


def test_actions_alone_that_were_wrong_raise_it() -> None:
    found = propose(decided(0.86, right=10, wrong=15) + decided(0.93, right=40), now=0.85)
    assert found is not None
    assert found.proposed == 0.87
    assert found.effect.wrong == 0.0
    assert found.effect_now.wrong_low > MOST_WRONG


@given(gated, st.floats(0.5, 0.99).map(lambda value: round(value, 2)))
def test_a_step_is_small_and_rests_on_evidence(found: list[Gated], now: float) -> None:
    proposal = propose(found, now)
    if proposal is None:
        return
    assert -DOWN - 1e-9 <= proposal.proposed - now <= UP + 1e-9
    assert proposal.effect_now == effect(found, now)
    if proposal.proposed < now:
        assert proposal.effect.wrong_high <= MOST_WRONG
        assert proposal.effect.alone > proposal.effect_now.alone
    else:
        assert proposal.effect_now.wrong_low > MOST_WRONG
