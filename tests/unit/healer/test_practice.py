"""What a practice proves, from the states before, broken and after."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.healer.domain.practice import (
    Conclusion,
    Return,
    Round,
    Verdict,
    conclude,
    shared_with_production,
)
from services.healer.domain.runs import RunStatus

GOOD, BAD, ODD = {"file:a": "good"}, {"file:a": "bad"}, {"file:a": "odd"}
HELPING = Round(GOOD, BAD, GOOD, RunStatus.SUCCEEDED, "healed")
BACK = Round(GOOD, BAD, BAD, RunStatus.ROLLED_BACK, "not-cleared")
LEFT = Round(GOOD, BAD, GOOD, RunStatus.FAILED, "can't be undone")


def found(helping: Round = HELPING, returning: Round = BACK, **more: bool) -> Conclusion:
    return conclude(helping, returning, **({"expect_before": True, "can_be_undone": True} | more))


def test_there_and_back_is_proven() -> None:
    assert (found().verdict, found().way_back) == (Verdict.PASSED, Return.PROVEN)


def test_what_cant_be_undone_passes_only_when_nobody_said_it_could() -> None:
    assert found(returning=LEFT, can_be_undone=False).way_back is Return.IMPOSSIBLE
    assert found(returning=LEFT).reason == "could not be rolled back: can't be undone"


@pytest.mark.parametrize(
    ("helping", "returning", "words"),
    [
        (replace(HELPING, broken=GOOD), BACK, "the fault changed nothing"),
        (replace(HELPING, status=RunStatus.ROLLED_BACK), BACK, "did not mend its own fault"),
        (replace(HELPING, after=ODD), BACK, "file:a is not as it was before the fault"),
        (HELPING, replace(BACK, after=GOOD), "file:a is not as it was before the playbook"),
        (HELPING, replace(BACK, status=RunStatus.SUCCEEDED), "with its validation broken the run ended succeeded"),
    ],
)
def test_a_failure_says_what_is_wrong(helping: Round, returning: Round, words: str) -> None:
    assert found(helping, returning).verdict is Verdict.FAILED
    assert words in found(helping, returning).reason


def test_a_step_in_the_right_direction_need_only_change_something() -> None:
    stepped = replace(HELPING, after=ODD)
    assert found(stepped, expect_before=False).verdict is Verdict.PASSED
    assert found(replace(HELPING, after=BAD), expect_before=False).verdict is Verdict.FAILED


def test_what_cant_be_undone_may_not_leave_a_third_state() -> None:
    conclusion = found(returning=replace(LEFT, after=ODD), can_be_undone=False)
    assert conclusion.reason == "left file:a in a state that nobody wanted"


_STATES = st.fixed_dictionaries({"file:a": st.sampled_from("xyz"), "process:p": st.sampled_from("xyz")})


@given(before=_STATES, broken=_STATES, mended=_STATES, after=_STATES, can=st.booleans(), expect=st.booleans())
def test_a_rollback_that_left_anything_else_never_passes(
    before: dict[str, str],
    broken: dict[str, str],
    mended: dict[str, str],
    after: dict[str, str],
    can: bool,
    expect: bool,
) -> None:
    helping = Round(before, broken, mended, RunStatus.SUCCEEDED, "")
    returning = Round(before, broken, after, RunStatus.ROLLED_BACK, "")
    conclusion = conclude(helping, returning, expect_before=expect, can_be_undone=can)
    if conclusion.verdict is Verdict.PASSED:
        assert after == broken
        assert mended != broken


def test_nothing_of_production_may_be_touched() -> None:
    production = {"web": {"file:/etc/web.toml"}, "db": {"process:/run/db.pid"}}
    assert shared_with_production({"file:/spare/web.toml"}, production) == ""
    assert "process:/run/db.pid, which db has too" in shared_with_production({"process:/run/db.pid"}, production)
