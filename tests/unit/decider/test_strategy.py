"""Which of several safe playbooks is taken."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest

from services.decider.domain import Record, Verdict
from services.decider.domain.strategy import pick, thompson
from tests.unit.decider.scenes import RESTART, case, cause, playbooks, ruled, target

BOTH = {"better": RESTART | {"validate": {"window_s": 1}}, "other": RESTART, "manual": {}}
BOTH["manual"] = RESTART | {"automation_level": "manual", "validate": {"window_s": 0.5}}


def taken(strategy: str, number: int, **more: object) -> tuple[str, float]:
    books = playbooks(**BOTH)  # type: ignore[arg-type]
    ruling = ruled(
        case(cause(), id=UUID(int=number)),
        target(playbooks=books, policy={"strategy": strategy}),
        **more,
    )
    assert ruling.verdict is Verdict.EXECUTE
    assert ruling.option is not None
    return ruling.option.playbook, ruling.probability


def test_fixed_takes_the_best_score() -> None:
    assert {taken("fixed", number) for number in range(5)} == {("better", 1.0)}


def test_a_and_b_get_half_of_the_cases_each_and_a_case_always_the_same() -> None:
    found = [taken("ab", number) for number in range(60)]
    assert {playbook for playbook, _ in found} == {"better", "other"}
    assert 18 <= sum(playbook == "better" for playbook, _ in found) <= 42
    assert found == [taken("ab", number) for number in range(60)]
    assert {probability for _, probability in found} == {0.5}


def test_thompson_takes_what_has_helped_and_never_what_needs_a_person() -> None:
    records = (Record("crash:pattern", "other", 60, 60, 1.0, 0.1), Record("crash:pattern", "better", 60, 55, 0.9, 0.08))
    found = [taken("thompson", number, records=records)[0] for number in range(40)]
    assert "manual" not in found
    assert found.count("other") > 30


def test_ucb_tries_what_is_little_known_and_leaves_it_when_it_fails() -> None:
    known = Record("crash:pattern", "better", 60, 55, 0.92, 0.08)
    assert {taken("ucb", number, records=(known,)) for number in range(5)} == {("other", 1.0)}
    tried = Record("crash:pattern", "other", 3, 0, 0.0, -0.1)
    assert taken("ucb", 1, records=(known, tried)) == ("better", 1.0)


@pytest.mark.parametrize("strategy", ["ab", "thompson", "ucb"])
def test_one_choice_is_no_choice(strategy: str) -> None:
    assert pick(strategy, [(1.0, 1.0)], "seed") == (0, 1.0)  # type: ignore[arg-type]


def test_the_probability_is_how_often_it_is_taken() -> None:
    posteriors = [(8.0, 2.0), (7.0, 3.0)]
    rng = Random(1)
    often = sum(thompson(posteriors, rng.betavariate) == 0 for _ in range(2_000)) / 2_000
    index, probability = pick("thompson", posteriors, "any")
    assert probability == pytest.approx(often if index == 0 else 1 - often, abs=0.05)
    hashed = sum(pick("thompson", posteriors, f"{number}")[0] == 0 for number in range(300)) / 300
    assert hashed == pytest.approx(often, abs=0.1)
