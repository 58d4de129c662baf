"""Models are put in force only when better on outcomes that they were not fitted to."""

from __future__ import annotations

from random import Random

from services.learner.domain.models import RECOVERY, SHIPPED, SUCCESS, Example, Verdict, losses, train


def steady(runs: int, chance: float = 0.8, seed: int = 1) -> list[Example]:
    rng = Random(seed)
    return [Example("s\0p", "web", rng.random() < chance, 10.0) for _ in range(runs)]


def restless(runs: int, every: int = 25, seed: int = 1) -> list[Example]:
    """What helps and what doesn't changes places all the time."""
    rng = Random(seed)
    return [
        Example("s\0p", "web", rng.random() < (0.95 if number // every % 2 else 0.1), 10.0) for number in range(runs)
    ]


def test_few_outcomes_change_nothing() -> None:
    found = train(SUCCESS, SHIPPED[SUCCESS], None, steady(100))
    assert (found.verdict, found.value) == (Verdict.TOO_FEW, SHIPPED[SUCCESS])


def test_a_restless_truth_gets_a_model_that_forgets_faster() -> None:
    found = train(SUCCESS, 0.002, None, restless(600))
    assert found.verdict is Verdict.PROMOTED
    assert found.value > 0.002
    assert found.gain_low > 0
    assert found.loss < found.loss_before


def test_what_is_no_better_on_held_back_outcomes_is_not_put_in_force() -> None:
    found = train(SUCCESS, 0.002, None, steady(600))
    assert (found.verdict, found.value) == (Verdict.KEPT, 0.002)


def test_a_model_that_is_worse_than_the_one_before_goes() -> None:
    found = train(SUCCESS, 0.0, 0.05, restless(600))
    assert (found.verdict, found.value) == (Verdict.DEMOTED, 0.05)


def test_held_back_outcomes_are_the_newest_quarter() -> None:
    found = train(SUCCESS, 0.01, None, steady(400))
    assert (found.fitted_to, found.held_back) == (300, 100)


def test_recovery_times_that_jump_need_a_short_memory() -> None:
    took_s = [10.0 if number // 30 % 2 else 300.0 for number in range(600)]
    examples = [Example("s\0p", "web", True, one) for one in took_s]
    found = train(RECOVERY, 200.0, None, examples)
    assert found.verdict is Verdict.PROMOTED
    assert found.value == 5.0


def test_each_run_is_foretold_from_those_before_it() -> None:
    one, other = steady(50), steady(50)
    other[-1] = Example("s\0p", "web", not one[-1].helped, 10.0)
    assert losses(SUCCESS, 0.01, one)[:-1] == losses(SUCCESS, 0.01, other)[:-1]
    assert losses(RECOVERY, 5, [Example("s\0p", "", False, 9.0)]) == []
