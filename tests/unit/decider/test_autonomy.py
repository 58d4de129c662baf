"""Rights to act alone: earned by a record, lost with the error budget, never beyond the pack, always with a reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.decider.domain import Inputs, Reason, Record, Standing, decide
from services.decider.domain.autonomy import Change, Run, level_of, review, rung
from services.decider.domain.record import dump_inputs, load_inputs
from services.decider.domain.vocabulary import AutonomyReason, Result
from shared.packs import AutomationLevel, Mode, Policy
from tests.unit.decider.scenes import NOW, RESTART, case, playbooks, ruled, target

DAY = timedelta(days=1)
EARNS = {"earn_auto_after_runs": 10, "earn_auto_success": 0.7}
SEMI = playbooks(restart=RESTART | {"automation_level": "semi-auto"})["restart"]
FULL = playbooks(restart=RESTART)["restart"]


def runs(*results: Result, ago: timedelta = DAY) -> list[Run]:
    """One a minute, the first so long ago."""
    return [Run(NOW - ago + timedelta(minutes=number), result) for number, result in enumerate(results)]


def standing(level: Mode, **more: Any) -> Standing:
    return Standing("shop", "crash:pattern", "restart", level, **({"since": NOW - 2 * DAY} | more))


def reviewed(playbook: Any, past: list[Run], now: Standing | None = None, **policy: Any) -> Change | None:
    return review(now, playbook, Policy.model_validate(EARNS | policy), past, NOW)


def test_enough_runs_that_helped_earn_the_right() -> None:
    assert reviewed(SEMI, runs(*[Result.SUCCEEDED] * 9)) is None
    change = reviewed(SEMI, runs(*[Result.SUCCEEDED] * 10))
    assert change is not None
    assert (change.level, change.reason, change.evidence.runs) == (Mode.AUTO, AutonomyReason.EARNED, 10)


def test_many_runs_of_which_too_few_helped_earn_nothing() -> None:
    assert reviewed(SEMI, runs(*[Result.SUCCEEDED] * 12, *[Result.ROLLED_BACK] * 4)) is None


def test_a_run_that_is_undone_spends_the_budget_and_the_right_is_gone_at_once() -> None:
    past = runs(*[Result.SUCCEEDED] * 9, Result.ROLLED_BACK)
    change = reviewed(SEMI, past, standing(Mode.AUTO))
    assert change is not None
    assert (change.level, change.reason) == (Mode.ASSIST, AutonomyReason.ERROR_BUDGET_SPENT)
    assert change.cooling_until == NOW + DAY
    assert reviewed(SEMI, past, standing(Mode.AUTO), error_budget=2) is None


def test_a_run_that_leaves_harm_spends_the_whole_budget() -> None:
    change = reviewed(FULL, runs(Result.SUCCEEDED, Result.FAILED), None, error_budget=5)
    assert change is not None
    assert (change.evidence.spent, change.level) == (5, Mode.ASSIST)


def test_what_was_lost_is_earned_again_only_after_its_cooling_and_by_runs_since() -> None:
    lost = standing(Mode.ASSIST, since=NOW - timedelta(hours=20), cooling_until=NOW + timedelta(hours=4))
    proven = runs(*[Result.SUCCEEDED] * 10, ago=timedelta(hours=10))
    assert reviewed(SEMI, proven, lost) is None
    cooled = standing(Mode.ASSIST, since=NOW - timedelta(hours=20), cooling_until=NOW)
    assert reviewed(SEMI, proven, cooled) is not None
    assert reviewed(SEMI, runs(*[Result.SUCCEEDED] * 10), cooled) is None, "runs of before don't count"


def test_what_a_person_took_only_a_person_gives_back() -> None:
    taken = standing(Mode.ASSIST, by="ann")
    assert reviewed(SEMI, runs(*[Result.SUCCEEDED] * 50), taken) is None


def test_without_the_policys_word_nothing_is_earned_or_lost() -> None:
    past = runs(*[Result.SUCCEEDED] * 50, Result.FAILED)
    assert review(None, SEMI, Policy(), past, NOW) is None
    assert review(None, FULL, Policy(), past, NOW) is None


@given(st.lists(st.sampled_from([Result.SUCCEEDED, Result.ROLLED_BACK, Result.FAILED, Result.LOST]), max_size=40))
def test_no_record_makes_a_manual_playbook_act_alone_nor_harm_pass(results: list[Result]) -> None:
    manual = playbooks(restart=RESTART | {"automation_level": "manual"})["restart"]
    assert reviewed(manual, runs(*results)) is None
    assert level_of(manual, standing(Mode.AUTO)) is AutomationLevel.MANUAL
    if results and results[-1] is not Result.SUCCEEDED:
        change = reviewed(SEMI, runs(*results), standing(Mode.AUTO))
        assert change is not None
        assert change.level is Mode.ASSIST


@given(st.sampled_from(Mode), st.sampled_from(AutomationLevel))
def test_a_playbook_never_stands_above_its_pack(mode: Mode, level: AutomationLevel) -> None:
    ladder = list(Mode)
    assert ladder.index(rung(mode, level)) <= ladder.index(mode)


def test_a_right_decides_who_acts_and_says_so() -> None:
    semi, full = target(playbooks={"restart": SEMI}), target(playbooks={"restart": FULL})
    assert ruled(None, semi).reason is Reason.PLAYBOOK_SEMI_AUTO
    assert ruled(None, semi, standings=(standing(Mode.AUTO),)).reason is Reason.ACT
    lost = ruled(None, full, standings=(standing(Mode.ASSIST, words="its budget is spent"),))
    assert lost.reason is Reason.AUTONOMY_LOST
    assert "its budget is spent" in lost.explanation
    assert lost.flip is not None
    assert "trusted to act alone" in lost.flip.words
    elsewhere = Standing("shop", "x", "restart", Mode.AUTO, NOW)
    assert ruled(None, semi, standings=(elsewhere,)).reason is Reason.PLAYBOOK_SEMI_AUTO


def test_a_record_of_before_rights_were_decided_comes_out_as_it_did() -> None:
    inputs = Inputs(
        now=NOW,
        case=case(),
        targets={"payments": target(playbooks={"restart": SEMI}, policy={"earn_auto_after_runs": 10})},
        records=(Record("crash:pattern", "restart", 20, 20, 1.0, 0.1),),
    )
    record = dump_inputs(inputs)
    assert decide(load_inputs(record)).reason is Reason.PLAYBOOK_SEMI_AUTO
    del record["standings"]
    assert decide(load_inputs(record)).reason is Reason.ACT
