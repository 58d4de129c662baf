"""What strategies are worth, from choices whose truth is known."""

from __future__ import annotations

from random import Random

import pytest

from services.decider.domain.comparing import Choice, choice_of, compare
from services.decider.domain.strategy import Strategy, pick, probabilities
from tests.unit.decider import scenes
from tests.unit.decider.scenes import RESTART, case, cause, playbooks, target

CHANCES = (0.6, 0.9)


def chosen(strategy: Strategy, number: int, rng: Random) -> Choice:
    """The best by score helps in 60 of 100 cases, the other in 90; what is foretold of both is wrong."""
    posteriors = ((8.0, 2.0), (7.5, 2.5))
    taken, _ = pick(strategy, posteriors, str(number))
    return Choice(strategy, "s", ("first", "second"), posteriors, (0.8, 0.75), taken, rng.random() < CHANCES[taken])


@pytest.mark.parametrize("ran", ["ab", "thompson"])
def test_what_another_strategy_would_be_worth_lies_in_its_interval(ran: Strategy) -> None:
    rng = Random(7)
    found = {one.strategy: one for one in compare([chosen(ran, number, rng) for number in range(1_500)])}
    share = probabilities("thompson", ((8.0, 2.0), (7.5, 2.5)))[1]
    truth = {"fixed": 0.6, "ab": 0.75, "thompson": 0.6 + 0.3 * share}
    for strategy, worth in truth.items():
        for estimate in (found[strategy].doubly_robust, found[strategy].snips):  # type: ignore[index]
            assert estimate.low <= worth <= estimate.high
        assert found[strategy].seen == pytest.approx(1.0)  # type: ignore[index]
    assert found[ran].chose == 1_500


def test_what_never_was_tried_is_said_to_be_foretold_only() -> None:
    rng = Random(7)
    found = {one.strategy: one for one in compare([chosen("fixed", number, rng) for number in range(200)])}
    assert found["fixed"].seen == 1.0
    assert found["ab"].seen == 0.5


def test_only_what_was_a_choice_is_compared() -> None:
    one = scenes.Inputs(now=scenes.NOW, case=case(cause()), targets={"payments": target()})
    assert choice_of(one, "restart", helped=True) is None
    books = playbooks(restart=RESTART, other=RESTART, manual=RESTART | {"automation_level": "manual"})
    two = scenes.Inputs(
        now=scenes.NOW, case=case(cause()), targets={"payments": target(playbooks=books, policy={"strategy": "ab"})}
    )
    choice = choice_of(two, "restart", helped=True)
    assert choice is not None
    assert set(choice.playbooks) == {"restart", "other"}
    assert choice.propensity == 0.5
    assert choice_of(two, "manual", helped=True) is None


def test_without_choices_nothing_is_said() -> None:
    assert compare([]) == []
