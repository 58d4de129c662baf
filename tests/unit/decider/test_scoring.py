"""What counts how much: declared by the pack, added up in the open, compared only within the limits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.decider.domain import Inputs, Reason
from services.decider.domain.constraints import constraints
from services.decider.domain.decide import decide, rule
from services.decider.domain.record import dump_inputs, load_inputs
from services.decider.domain.scoring import cost
from shared.packs import Component, Criticality, Mode, Weights
from tests.unit.decider.scenes import NOW, RESTART, busy, case, playbooks, ruled, target

SLOW_AND_SAFE = RESTART | {"risk": 0.05, "validate": {"window_s": 600}}
FAST_AND_BOLD = RESTART | {"risk": 0.35, "validate": {"window_s": 5}}


def test_the_contributions_of_the_criteria_add_up_to_the_score() -> None:
    option = ruled().option
    assert option is not None
    assert [one.name for one in option.criteria] == ["benefit", "confidence", "risk", "cost", "reversibility", "time"]
    assert sum(one.contribution for one in option.criteria) == pytest.approx(option.score, abs=1e-3)


@pytest.mark.parametrize(("weights", "chosen"), [({"risk": 1}, "slow-and-safe"), ({"time": 1}, "fast-and-bold")])
def test_the_pack_says_what_counts(weights: dict[str, float], chosen: str) -> None:
    nothing = dict.fromkeys(Weights.model_fields, 0.0)
    books = playbooks(slow_and_safe=SLOW_AND_SAFE, fast_and_bold=FAST_AND_BOLD)
    option = ruled(case(), target(playbooks=books, policy={"weights": nothing | weights})).option
    assert option is not None
    assert option.playbook == chosen


def test_no_weight_buys_a_limit_off() -> None:
    books = playbooks(slow_and_safe=SLOW_AND_SAFE, too_bold=FAST_AND_BOLD | {"risk": 0.5})
    all_on_time = dict.fromkeys(Weights.model_fields, 0.0) | {"time": 1.0}
    ruling = ruled(case(), target(playbooks=books, policy={"weights": all_on_time}))
    assert ruling.option is not None
    assert (ruling.reason, ruling.option.playbook) == (Reason.ACT, "slow-and-safe")


def test_all_weights_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match="all weights are zero"):
        Weights.model_validate(dict.fromkeys(Weights.model_fields, 0))


def test_interrupting_what_works_costs_and_starting_what_is_down_does_not() -> None:
    restart = playbooks(restart=RESTART)["restart"]
    vital = Component(criticality=Criticality.HIGH)
    assert cost(restart, target(health="warning", component=vital))[0] > cost(restart, target(health="warning"))[0] > 0
    assert cost(restart, target(health="critical"))[0] == 0.0
    assert cost(restart.model_copy(update={"cost": 0.7}), target())[0] == 0.7


def test_each_limit_is_an_explicit_input_with_whether_it_is_kept() -> None:
    full = target(ledger=busy("payments", granted_last_hour=20), mode=Mode.ASSIST)
    inputs = Inputs(now=NOW, case=case(), targets={"payments": full})
    option = rule(inputs).option
    assert option is not None
    broken = {one.rule for one in constraints(inputs, full, option) if not one.kept}
    assert broken == {Reason.BUSY, Reason.BUDGET_SPENT, Reason.MODE_ASSIST}


def test_a_record_of_before_the_weights_is_scored_as_it_was_then() -> None:
    books = playbooks(slow_and_safe=SLOW_AND_SAFE, fast_and_bold=FAST_AND_BOLD)
    record = dump_inputs(Inputs(now=NOW, case=case(), targets={"payments": target(playbooks=books)}))
    del record["targets"]["payments"]["policy"]["weights"]
    option = decide(load_inputs(record)).option
    assert option is not None
    assert {one.name: one.weight for one in option.criteria} == {
        "benefit": 0.3,
        "confidence": 0.3,
        "risk": 0.2,
        "cost": 0.0,
        "reversibility": 0.1,
        "time": 0.1,
    }
