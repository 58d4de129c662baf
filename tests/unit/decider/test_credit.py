"""Left alone at random, now and then: the same case always in the same arm, and what acting was worth told honestly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from services.decider.domain import Inputs, Reason, Result, Tried, Verdict, decide
from services.decider.domain.credit import Observed, effect
from services.decider.domain.record import dump_inputs, load_inputs
from tests.unit.decider.scenes import NOW, case, target

TRIES = {"hold_off": {"share": 0.5, "for_s": 60}}


def inputs(number: int, **more: object) -> Inputs:
    one = replace(case(severity="warning"), id=UUID(int=number), **more)  # type: ignore[arg-type]
    return Inputs(now=NOW, case=one, targets={"payments": target(policy=TRIES, health="warning")})


def held_one() -> Inputs:
    return next(inputs(number) for number in range(99) if decide(inputs(number)).reason is Reason.HELD_OFF)


def test_about_the_share_is_held_off_and_each_decision_says_with_which_probability() -> None:
    rulings = [decide(inputs(number)) for number in range(400)]
    held = [one for one in rulings if one.reason is Reason.HELD_OFF]
    assert 0.4 < len(held) / len(rulings) < 0.6
    assert all(one.trial is not None and one.trial.share == 0.5 for one in rulings)
    assert {one.probability for one in rulings if one.verdict is Verdict.EXECUTE} == {0.5}


def test_the_same_case_is_drawn_the_same_again_from_its_record() -> None:
    held = held_one()
    assert decide(load_inputs(dump_inputs(held))) == decide(held)


def test_what_was_held_off_is_acted_on_after_its_time() -> None:
    held = held_one()
    waiting = replace(held, case=replace(held.case, held_since=NOW - timedelta(seconds=50)))
    ruling = decide(waiting)
    assert ruling.reason is Reason.HELD_OFF
    assert ruling.expires_s == pytest.approx(10)
    over = replace(held, case=replace(held.case, held_since=NOW - timedelta(seconds=60)))
    assert decide(over).reason is Reason.ACT


def test_what_is_severe_or_was_tried_is_never_left_alone_and_no_policy_means_no_trial() -> None:
    held = held_one()
    severe = replace(held, case=replace(held.case, severity="critical"))
    tried = replace(held, case=replace(held.case, tried=(Tried("other", "payments", Result.ROLLED_BACK),)))
    plain = replace(held, targets={"payments": target(health="warning")})
    assert {decide(one).reason for one in (severe, tried, plain)} == {Reason.ACT}
    assert decide(plain).trial is None


def trial_of(cases: int, healed: float, alone: float, share: float, seed: int) -> list[Observed]:
    """Cases that end in time with `healed` when acted on and with `alone` when left alone."""
    chance = Random(seed)
    observed = []
    for _ in range(cases):
        held = chance.random() < share
        ended = chance.random() < (alone if held else healed)
        observed.append(Observed("restart", held, share, 5.0 if ended else None))
    return observed


def test_the_effect_is_what_acting_adds_to_what_heals_itself() -> None:
    found = [effect(trial_of(300, healed=0.9, alone=0.4, share=0.2, seed=seed)) for seed in range(60)]
    assert all(one is not None for one in found)
    values = [one.value for one in found if one]
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.03)
    assert sum(one.low <= 0.5 <= one.high for one in found if one) >= 0.9 * len(found)


def test_shares_that_change_over_time_do_not_bend_the_effect() -> None:
    """First mostly acted on, in good times; later mostly held off, in bad ones: the raw difference would be wrong."""
    values, raw = [], []
    for seed in range(60):
        good = trial_of(400, healed=0.95, alone=0.75, share=0.1, seed=seed)
        bad = trial_of(400, healed=0.55, alone=0.35, share=0.5, seed=seed + 1000)
        found = effect(good + bad)
        assert found is not None
        values.append(found.value)
        arms = {arm: [one.over_s is not None for one in good + bad if one.held is arm] for arm in (True, False)}
        raw.append(sum(arms[False]) / len(arms[False]) - sum(arms[True]) / len(arms[True]))
    assert sum(values) / len(values) == pytest.approx(0.2, abs=0.03)
    assert sum(raw) / len(raw) > 0.25


def test_one_arm_alone_says_nothing() -> None:
    assert effect([Observed("restart", False, 0.1, 3.0)] * 9) is None
