"""What would have turned a decision: the smallest change, in numbers, and true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from services.decider.domain import CaseKind, Group, Inputs, Ledger, Requested, Verdict, decide
from services.decider.domain.counterfactual import MOST_CHANGES
from services.decider.domain.vocabulary import Reason
from shared.packs import Mode
from tests.unit.decider.scenes import NOW, RESTART, busy, case, cause, playbooks, ruled, target
from tests.unit.decider.test_invariants import inputs


def flipped(ruling: Any) -> list[str]:
    assert ruling.flip is not None
    return [change.words for change in ruling.flip.changes]


def test_a_question_says_how_sure_it_would_have_to_be() -> None:
    ruling = ruled(case(cause(confidence=0.81)))
    assert flipped(ruling) == ["confidence of at least 85% (it is 81%)"]
    assert "would have run restart with confidence of at least 85% (it is 81%)" in ruling.explanation
    assert ruled(case(cause(confidence=0.85))).verdict is Verdict.EXECUTE


def test_numbers_that_look_the_same_are_told_apart() -> None:
    assert flipped(ruled(case(cause(confidence=0.849)))) == ["confidence of at least 85.00% (it is 84.90%)"]


HELD: list[tuple[dict[str, Any], str]] = [
    ({"mode": Mode.ASSIST}, "shop in mode auto"),
    ({"mode": Mode.OBSERVE}, "shop in mode auto"),
    ({"playbooks": playbooks(restart=RESTART | {"automation_level": "manual"})}, "restart full-auto"),
    ({"playbooks": playbooks(restart=RESTART | {"risk": 0.45})}, "a risk limit of at least 46% (it is 40%)"),
    ({"policy": {"freeze": ["Wed 11:00/Wed 13:00"]}}, "no freeze (Wed 11:00/Wed 13:00)"),
    ({"ledger": busy("payments")}, "no other run on payments"),
    ({"ledger": busy("a", "b", "c")}, "at least 4 targets at once allowed (3 are)"),
    ({"ledger": Ledger(granted_last_hour=20)}, "at least 21 actions an hour allowed (20 are)"),
    ({"ledger": Ledger(cooling_until={"restart": NOW + timedelta(9)})}, "the cool-down of restart over"),
    (
        {"policy": {"min_healthy": {"web": 0.5}}, "group": Group("web", 4, 1, 1), "health": "warning"},
        "at most 25% of group web to be kept healthy (50% are)",
    ),
]


@pytest.mark.parametrize(("more", "words"), HELD)
def test_every_limit_names_what_would_have_lifted_it(more: dict[str, Any], words: str) -> None:
    ruling = ruled(None, target(**more))
    assert flipped(ruling) == [words]
    assert ruling.flip is not None
    assert (ruling.flip.verdict, ruling.flip.playbook) == (Verdict.EXECUTE, "restart")


def test_all_that_stands_in_the_way_is_named() -> None:
    ruling = ruled(case(cause(confidence=0.7)), target(mode=Mode.ASSIST), switched_off=True)
    assert flipped(ruling) == ["shop in mode auto", "confidence of at least 85% (it is 70%)", "the kill switch off"]


def test_an_action_says_its_narrowest_margin() -> None:
    assert flipped(ruled()) == ["confidence below 85% (it is 95%)"]
    risky = target(playbooks=playbooks(restart=RESTART | {"risk": 0.36}), dependents=0)
    assert flipped(ruled(None, risky)) == ["risk above 40% (it is 36%)"]
    assert ruled().flip.verdict is Verdict.ASK  # type: ignore[union-attr]


def test_where_no_number_decided_there_is_none() -> None:
    assert ruled(case(cause("rate-limit"))).flip is None
    assert ruled(case(is_open=False)).flip is None
    assert ruled(case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"))).flip is None


@settings(max_examples=60, deadline=None)
@given(inputs())
def test_a_change_is_bounded_and_turns_the_verdict(given_inputs: Inputs) -> None:
    ruling = decide(given_inputs)
    if ruling.flip is None:
        return
    assert 1 <= len(ruling.flip.changes) <= MOST_CHANGES
    if ruling.verdict is Verdict.EXECUTE:
        assert ruling.reason is Reason.ACT
        assert ruling.option is not None
        # the same playbook elsewhere is another action
        elsewhere = {option.playbook for option in ruling.considered if option.component != ruling.component}
        same = (ruling.flip.verdict, ruling.flip.playbook) == (Verdict.EXECUTE, ruling.option.playbook)
        assert not same or ruling.flip.playbook in elsewhere
    else:
        assert ruling.flip.verdict is Verdict.EXECUTE
        assert ruling.flip.words in ruling.explanation
