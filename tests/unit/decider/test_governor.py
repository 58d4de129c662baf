"""The governor: how much may be done, where, how soon again, and what may not be moved to and fro."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.decider.domain import Case, CaseKind, Group, Ledger, Move, Reason, Requested, Target, Tuning, Verdict
from services.decider.domain.governor import lease_s
from shared.packs import Criticality, Knob
from tests.unit.decider.scenes import NOW, RESTART, case, cause, playbooks, ruled, target

KNOB = Knob.model_validate(
    {
        "component": "payments",
        "name": "timeout_ms",
        "apply": {"file.set": {"path": "a.toml", "key": "upstream.timeout_ms", "value": 1}},
        "min": 50,
        "max": 5_000,
        "objective": {"minimise": "latency_p99_ms"},
    }
)


def tuning(value: float = 1_200, current: float | None = 800, **more: Any) -> Case:
    return case(
        cause("tuning", 0.95, signature="tuning:timeout_ms"),
        kind=CaseKind.RECOMMENDATION,
        tuning=Tuning("timeout_ms", value, 0.05, current),
        **more,
    )


def tuned(one: Case | None = None, **more: Any) -> tuple[Verdict, Reason]:
    home = target(knobs=(KNOB,), **({"health": "healthy"} | more))
    ruling = ruled(one or tuning(), home)
    return ruling.verdict, ruling.reason


def moved(minutes_ago: float, direction: int) -> Move:
    return Move(NOW - timedelta(minutes=minutes_ago), "a.toml:upstream.timeout_ms", direction)


# ---- budgets


@pytest.mark.parametrize(
    ("ledger", "playbook", "reason"),
    [
        (Ledger(granted_last_hour=20), {}, Reason.BUDGET_SPENT),
        (Ledger(granted_here_last_hour=10), {}, Reason.COMPONENT_BUDGET_SPENT),
        (Ledger(playbook_last_hour={"restart": 2}), {"actions_per_hour": 2}, Reason.PLAYBOOK_BUDGET_SPENT),
    ],
)
def test_each_budget_of_an_hour_has_a_name_of_its_own(ledger: Ledger, playbook: dict[str, Any], reason: Reason) -> None:
    home = target(ledger=ledger, playbooks=playbooks(restart=RESTART | playbook))
    ruling = ruled(None, home)
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, reason)
    assert ruling.is_transient
    assert ruling.flip is not None
    assert ruling.flip.verdict is Verdict.EXECUTE
    asked = ruled(case(kind=CaseKind.REQUEST, requested=Requested("restart", "ann")), home)
    assert asked.reason is reason, "a budget holds for people too"


def test_what_another_playbook_has_spent_does_not_count() -> None:
    books = playbooks(restart=RESTART | {"actions_per_hour": 2})
    assert ruled(None, target(ledger=Ledger(playbook_last_hour={"other": 9}), playbooks=books)).reason is Reason.ACT


# ---- groups


def test_only_so_many_of_a_group_are_acted_on_at_once_but_what_is_dead_is_started() -> None:
    group = Group("web", 4, others_healthy=1, others_busy=2)
    leak = case(cause("resource-exhaustion"))
    assert ruled(leak, target(group=group, health="warning")).reason is Reason.GROUP_SHARE
    assert ruled(leak, target(group=replace(group, others_busy=1), health="warning")).reason is Reason.ACT
    assert ruled(None, target(group=group, health="critical")).reason is Reason.ACT


def test_one_member_of_a_small_group_may_always_be_acted_on() -> None:
    assert ruled(None, target(group=Group("web", 1, 0, 0), health="warning")).reason is Reason.ACT


# ---- windows


def test_nothing_is_done_in_maintenance_unless_a_person_does_it() -> None:
    home = target(maintenance=("Wed 11:00/13:00",))
    assert ruled(None, home).reason is Reason.MAINTENANCE
    assert ruled(case(kind=CaseKind.REQUEST, requested=Requested("restart", "ann")), home).reason is Reason.MANUAL
    assert ruled(None, target(maintenance=("Thu 11:00/13:00",))).reason is Reason.ACT


@pytest.mark.parametrize("window", ["Wed 11:00/Wed 13:00", "daily 11:00/13:00", "0 11 * * wed for 2h"])
def test_a_freeze_is_written_like_any_window(window: str) -> None:
    assert ruled(None, target(policy={"freeze": [window]})).reason is Reason.FROZEN


# ---- healer, scaler and tuner don't fight


def test_nothing_is_tuned_where_something_is_healed() -> None:
    assert tuned(ledger=Ledger(busy_targets=("payments",)))[1] is Reason.BUSY
    assert tuned(ledger=Ledger(incident_open=True))[1] is Reason.INCIDENT_FIRST
    assert tuned(health="critical")[1] is Reason.INCIDENT_FIRST
    assert tuned(ledger=Ledger(last_acted_at=NOW - timedelta(seconds=119)))[1] is Reason.SETTLING
    assert tuned(ledger=Ledger(last_acted_at=NOW - timedelta(seconds=120)))[1] is Reason.PLAYBOOK_SEMI_AUTO


def test_advice_that_had_to_wait_for_an_hour_is_not_followed() -> None:
    assert tuned(tuning(opened_at=NOW - timedelta(minutes=61)))[1] is Reason.EXPIRED


def test_a_setting_goes_on_in_one_direction_at_once_and_back_only_after_pauses_that_double() -> None:
    def back(*moves: Move) -> Reason:
        return tuned(tuning(value=500), ledger=Ledger(moves=moves))[1]

    assert back(moved(1, -1)) is Reason.PLAYBOOK_SEMI_AUTO
    assert back(moved(1.9, +1)) is Reason.OSCILLATING
    assert back(moved(2.1, +1)) is Reason.PLAYBOOK_SEMI_AUTO
    to_and_fro = (moved(60, +1), moved(40, -1), moved(20, +1))
    assert back(*to_and_fro, moved(16.1, -1), moved(15.9, +1)) is Reason.OSCILLATING
    assert back(*to_and_fro[:2], moved(8.1, +1)) is Reason.PLAYBOOK_SEMI_AUTO
    assert back(*to_and_fro[:2], moved(7.9, +1)) is Reason.OSCILLATING


def test_healing_and_tuning_of_one_setting_damp_each_other() -> None:
    step = {"config.step": {"path": "a.toml", "key": "upstream.timeout_ms", "multiply": 1.5, "min": 50, "max": 5_000}}
    books = playbooks(patience=RESTART | {"for": ["timeout"], "steps": [step]})
    slow = case(cause("timeout"))
    assert ruled(slow, target(playbooks=books)).reason is Reason.ACT
    ledger = Ledger(moves=(moved(1, -1),))
    assert ruled(slow, target(playbooks=books, ledger=ledger)).reason is Reason.OSCILLATING


# ---- leases


def test_a_lease_outlasts_the_steps_and_their_undoing() -> None:
    spec = playbooks(two=RESTART | {"steps": [{"process.restart": {}, "timeout_s": 60}] * 2})["two"]
    assert lease_s(spec) == 2 * 120 + 300


# ---- risk


def risk_of(**more: Any) -> float:
    return ruled(None, risky(**more)).risk


def risky(**more: Any) -> Target:
    return target(**({"health": "warning", "dependents": 0} | more))


def test_every_term_of_the_risk_counts_and_is_said() -> None:
    calm = risk_of()
    assert calm == pytest.approx(0.2)
    hours = {"business_hours": ["0 8 * * mon-fri for 10h"], "max_targets_at_once": 4}
    worse = risky(
        dependents=2,
        dependents_by_criticality={Criticality.HIGH: 1, Criticality.LOW: 1},
        error_budget_left=0.1,
        policy=hours,
        ledger=Ledger(busy_targets=("a", "b")),
    )
    ruling = ruled(None, worse)
    assert ruling.option is not None
    assert ruling.option.risk_terms == {
        "actions": 0.2,
        "blast": pytest.approx(1.5 / 7 * 0.75, abs=1e-3),
        "error budget": pytest.approx(0.8),
        "business hours": 1.0,
        "crowd": 0.5,
    }
    around = 0.3 * 1.5 / 7 * 0.75 + 0.15 * 0.8 + 0.10 + 0.10 * 0.5
    assert ruling.risk == pytest.approx(0.2 + 0.8 * around, abs=1e-3)
    for words in ("(1 high, 1 low)", "10% of its error budget", "business hours", "2 of at most 4 others"):
        assert words in ruling.explanation


def test_what_is_down_has_neither_budget_nor_business_hours_to_lose() -> None:
    policy = {"business_hours": ["daily 00:00/23:59"]}
    assert risk_of(health="critical", error_budget_left=-1.0, policy=policy) == pytest.approx(0.2)


def test_a_risk_above_the_limit_is_not_bought_off_by_certainty() -> None:
    books = playbooks(wipe=RESTART | {"risk": 0.41})
    ruling = ruled(case(cause(confidence=1.0)), target(playbooks=books, dependents=0))
    assert (ruling.verdict, ruling.reason) == (Verdict.ASK, Reason.RISK_TOO_HIGH)
