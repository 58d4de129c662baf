"""Other rules on recorded decisions: what would differ, and what it would be worth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.decider.domain import Inputs, Verdict, decide
from services.decider.domain.replay import Past, Proposal, changed, replay, worth
from shared.packs import Mode
from tests.unit.decider.scenes import NOW, RESTART, case, cause, playbooks, target


def past(number: int, confidence: float, helped: bool | None, **more: Any) -> Past:
    made_from = Inputs(now=NOW, case=case(cause(confidence=confidence), id=UUID(int=number)), targets={})
    made_from = Inputs(now=NOW, case=made_from.case, targets={"payments": target(**more)})
    ruling = decide(made_from)
    playbook = ruling.option.playbook if ruling.option else None
    return Past(str(UUID(int=number)), made_from, ruling.verdict, playbook, helped)


def unchanged(made_from: Inputs) -> Inputs:
    return made_from


def test_the_same_rules_differ_in_nothing_and_are_worth_what_came_of_them() -> None:
    pasts = [past(number, 0.95, helped=number % 4 > 0) for number in range(40)]
    compared = replay(pasts, unchanged)
    assert not any(one.differs for one in compared)
    found = worth(compared)
    assert found is not None
    assert found.value == pytest.approx(0.75)
    assert found.seen == 1.0
    assert found.low < 0.75 < found.high


def test_a_lower_threshold_turns_questions_into_actions_whose_end_is_only_foretold() -> None:
    pasts = [past(1, 0.95, helped=True), past(2, 0.7, helped=None)]
    compared = replay(pasts, lambda one: changed(one, Proposal({"confidence": 0.6})))
    assert [one.differs for one in compared] == [False, True]
    assert compared[1].was == (Verdict.ASK, "restart")
    assert compared[1].now.verdict is Verdict.EXECUTE
    found = worth(compared)
    assert found is not None
    assert found.seen == 0.5
    assert compared[1].value == compared[1].now.option.expected_success  # type: ignore[union-attr]


def test_a_stricter_mode_acts_no_more_and_helps_nobody() -> None:
    compared = replay([past(1, 0.95, helped=True)], lambda one: changed(one, Proposal({}, mode=Mode.OBSERVE)))
    assert compared[0].now.verdict is Verdict.OBSERVE
    assert compared[0].value == 0.0


def test_another_playbook_may_be_tried_on_paper() -> None:
    books = playbooks(cool=RESTART | {"for": ["overload"]})
    asked = case(cause("overload", 0.95))
    recorded = Past("x", Inputs(now=NOW, case=asked, targets={"payments": target()}), Verdict.ABSTAIN, None, None)
    compared = replay([recorded], lambda one: changed(one, Proposal({}, playbooks=books)))
    assert compared[0].now.option is not None
    assert compared[0].now.option.playbook == "cool"
    other_pack = replay([recorded], lambda one: changed(one, Proposal({}, playbooks=books, pack="another")))
    assert not other_pack[0].differs


def test_runs_that_have_not_ended_are_left_out() -> None:
    assert replay([past(1, 0.95, helped=None)], unchanged) == []
    assert worth([]) is None


def test_a_policy_that_can_not_be_is_refused() -> None:
    with pytest.raises(ValidationError):
        changed(past(1, 0.9, helped=None).inputs, Proposal({"confidence": 7}))
