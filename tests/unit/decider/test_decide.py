"""The ladder from diagnosis to verdict, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.decider.domain import (
    Approval,
    CaseKind,
    Declined,
    Forecast,
    Group,
    Ledger,
    Moment,
    Reason,
    Record,
    Requested,
    Result,
    Tried,
    Tuning,
    Verdict,
)
from services.decider.domain.vocabulary import MEANING
from shared.packs import Category, Component, Knob, Mode
from tests.unit.decider.scenes import NOW, RESTART, RESTORE, busy, case, cause, playbooks, ruled, target


def verdict(ruling: Any) -> tuple[Verdict, Reason, str | None]:
    return ruling.verdict, ruling.reason, ruling.option.playbook if ruling.option else None


# ---- acting alone


def test_a_sure_and_safe_playbook_runs() -> None:
    ruling = ruled()
    assert verdict(ruling) == (Verdict.EXECUTE, Reason.ACT, "restart")
    assert (ruling.confidence, ruling.threshold, ruling.dry_run) == (0.95, 0.85, False)
    assert "Confidence 95%, needed 85%" in ruling.explanation
    assert "the limit is 40%" in ruling.explanation


@pytest.mark.parametrize(
    ("category", "confidence", "expected"),
    [("crash", 0.84, Verdict.ASK), ("crash", 0.85, Verdict.EXECUTE)],
)
def test_the_threshold_is_85_percent(category: str, confidence: float, expected: Verdict) -> None:
    """Requirement D01."""
    assert ruled(case(cause(category, confidence))).verdict is expected


@pytest.mark.parametrize(("confidence", "expected"), [(0.79, Verdict.ASK), (0.80, Verdict.EXECUTE)])
def test_the_threshold_of_what_can_be_undone_is_80_percent(confidence: float, expected: Verdict) -> None:
    """Requirement Z1."""
    ruling = ruled(case(cause("configuration", confidence)), target(playbooks=playbooks(restore=RESTORE)))
    assert ruling.verdict is expected


def test_a_playbook_may_set_its_own_threshold() -> None:
    strict = target(playbooks=playbooks(restart=RESTART | {"confidence": 0.97}))
    assert verdict(ruled(None, strict)) == (Verdict.ASK, Reason.BELOW_THRESHOLD, "restart")


def test_the_record_of_a_playbook_moves_its_confidence() -> None:
    proven = Record("crash:pattern", "restart", 10, 10, 1.0, 0.1)
    assert ruled(case(cause(confidence=0.75)), records=(proven,)).verdict is Verdict.EXECUTE
    useless = Record("crash:pattern", "restart", 10, 1, 0.10, -0.08)
    assert ruled(case(cause(confidence=1.0)), records=(useless,)).verdict is Verdict.ASK


def test_a_pack_may_choose_the_shift_by_success_rate() -> None:
    """Requirement H02: 0.70 and 80 % give 0.76."""
    shop = target(policy={"confidence_model": "record-shift"})
    good = Record("crash:pattern", "restart", 10, 8, 0.80, 0.06)
    assert ruled(case(cause(confidence=0.70)), shop, records=(good,)).confidence == pytest.approx(0.76)
    assert ruled(case(cause(confidence=0.80)), shop, records=(good,)).verdict is Verdict.EXECUTE
    bad = Record("crash:pattern", "restart", 10, 1, 0.10, -0.08)
    assert ruled(case(cause(confidence=0.90)), shop, records=(bad,)).verdict is Verdict.ASK


# ---- asking


@pytest.mark.parametrize(
    ("level", "reason"), [("manual", Reason.PLAYBOOK_MANUAL), ("semi-auto", Reason.PLAYBOOK_SEMI_AUTO)]
)
def test_the_automation_level_asks(level: str, reason: Reason) -> None:
    ruling = ruled(None, target(playbooks=playbooks(restart=RESTART | {"automation_level": level})))
    assert verdict(ruling) == (Verdict.ASK, reason, "restart")
    assert ruling.expires_s == 900


def test_mode_assist_asks() -> None:
    assert verdict(ruled(None, target(mode=Mode.ASSIST))) == (Verdict.ASK, Reason.MODE_ASSIST, "restart")


def test_confidence_cannot_buy_off_risk() -> None:
    risky = target(playbooks=playbooks(restart=RESTART | {"risk": 0.45}))
    assert verdict(ruled(case(cause(confidence=1.0)), risky)) == (Verdict.ASK, Reason.RISK_TOO_HIGH, "restart")


def test_what_may_be_done_alone_goes_before_what_must_be_asked() -> None:
    both = target(
        playbooks=playbooks(better=RESTART | {"automation_level": "manual", "validate": {"window_s": 1}}, alone=RESTART)
    )
    ruling = ruled(None, both)
    assert verdict(ruling) == (Verdict.EXECUTE, Reason.ACT, "alone")
    assert "Not better on payments" in ruling.explanation
    assert "may not run without a person" in ruling.explanation


# ---- dry run


def test_dry_run_is_the_default() -> None:
    """Requirement J01: a pack that says nothing observes."""
    ruling = ruled(None, target(mode=Mode.OBSERVE))
    assert verdict(ruling) == (Verdict.OBSERVE, Reason.MODE_OBSERVE, "restart")
    assert ruling.dry_run


def test_not_even_a_person_acts_in_mode_observe() -> None:
    request = case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"))
    assert ruled(request, target(mode=Mode.OBSERVE)).verdict is Verdict.OBSERVE
    approval = Approval("ann", "restart", "payments")
    assert ruled(None, target(mode=Mode.OBSERVE), approval=approval).verdict is Verdict.OBSERVE


# ---- limits


LIMITED: list[tuple[Reason, dict[str, Any]]] = [
    (Reason.BUSY, {"ledger": busy("payments")}),
    (Reason.COOLING_DOWN, {"ledger": Ledger(cooling_until={"restart": NOW + timedelta(seconds=9)})}),
    (Reason.BUDGET_SPENT, {"ledger": Ledger(granted_last_hour=20)}),
    (Reason.TOO_MANY_TARGETS, {"ledger": busy("a", "b", "c")}),
    (Reason.FROZEN, {"policy": {"freeze": ["Wed 11:00/Wed 13:00"]}}),
    (
        Reason.MIN_HEALTHY,
        {"policy": {"min_healthy": {"web": 0.5}}, "group": Group("web", 4, 1, 1), "health": "warning"},
    ),
]


@pytest.mark.parametrize(("reason", "more"), LIMITED)
def test_every_limit_holds_back_for_now(reason: Reason, more: dict[str, Any]) -> None:
    ruling = ruled(None, target(**more))
    assert verdict(ruling) == (Verdict.ABSTAIN, reason, "restart")
    assert ruling.is_transient
    assert ruling.detail


@pytest.mark.parametrize(("reason", "more"), LIMITED)
def test_a_person_overrules_a_cool_down_and_no_other_limit(reason: Reason, more: dict[str, Any]) -> None:
    request = case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"))
    for ruling in (
        ruled(request, target(**more)),
        ruled(None, target(**more), approval=Approval("ann", "restart", "payments")),
    ):
        if reason is Reason.COOLING_DOWN:
            assert ruling.verdict is Verdict.EXECUTE
            assert ruling.decided_by == "ann"
        else:
            assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, reason)


def test_the_kill_switch_stops_everything() -> None:
    request = case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"))
    assert ruled(switched_off=True).reason is Reason.SWITCHED_OFF
    assert ruled(request, switched_off=True).reason is Reason.SWITCHED_OFF
    approval = Approval("ann", "restart", "payments")
    assert ruled(approval=approval, switched_off=True).reason is Reason.SWITCHED_OFF


def test_limits_that_are_not_reached_do_not_hold_back() -> None:
    easy = target(
        ledger=Ledger(
            granted_last_hour=19,
            busy_targets=("a", "b"),
            cooling_until={"restart": NOW, "other": NOW + timedelta(days=1)},
        ),
        policy={"freeze": ["Wed 13:00/Wed 14:00"], "min_healthy": {"web": 0.5}},
        group=Group("web", 4, 2, 1),
    )
    assert ruled(None, easy).reason is Reason.ACT


def test_a_group_below_its_minimum_is_mended_one_member_at_a_time() -> None:
    def half_working(group: Group, **more: Any) -> Reason:
        one = target(group=group, policy={"min_healthy": {"web": 0.5}}, playbooks=playbooks(restore=RESTORE), **more)
        return ruled(case(cause("configuration")), one).reason

    assert half_working(Group("web", 4, 0, 0)) is Reason.ACT
    assert half_working(Group("web", 4, 0, 1)) is Reason.MIN_HEALTHY
    assert half_working(Group("web", 4, 1, 0), health="healthy") is Reason.MIN_HEALTHY


def test_starting_what_is_down_takes_nothing_from_its_group() -> None:
    down = target(group=Group("web", 4, 0, 2), policy={"min_healthy": {"web": 1.0}})
    assert ruled(None, down).reason is Reason.ACT


def test_nobody_is_asked_about_a_component_that_is_being_mended() -> None:
    ruling = ruled(None, target(mode=Mode.ASSIST, ledger=busy("payments")))
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, Reason.BUSY)


def test_two_cases_do_not_ask_for_the_same() -> None:
    ruling = ruled(None, target(mode=Mode.ASSIST, ledger=Ledger(asked_elsewhere=("restart",))))
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, Reason.SAME_AS_OTHER_CASE)


# ---- nothing to do


def test_no_playbook_is_for_it() -> None:
    ruling = ruled(case(cause("rate-limit")))
    assert verdict(ruling) == (Verdict.ABSTAIN, Reason.NO_PLAYBOOK, None)
    assert "no playbook is for rate-limit of payments" in ruling.explanation


def test_a_playbook_for_other_components_is_not_considered() -> None:
    ruling = ruled(None, target(playbooks=playbooks(restart=RESTART | {"components": ["edge"]})))
    assert ruling.reason is Reason.NO_PLAYBOOK


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("case.severity == 'critical' && cause.category == 'crash'", Reason.ACT),
        ("case.age_s > 3600.0", Reason.NO_PLAYBOOK),
        ("time.weekday == 3 && time.hour == 12 && health.status == 'critical'", Reason.ACT),
        ("component.kind == 'http-service' && case.attempts == 0 && !case.is_symptom", Reason.ACT),
        ("prediction.eta_s == 0.0 && prediction.metric == ''", Reason.ACT),
        ("nobody.knows", Reason.NO_PLAYBOOK),
    ],
)
def test_a_condition_decides_whether_a_playbook_may_run(when: str, reason: Reason) -> None:
    ruling = ruled(None, target(playbooks=playbooks(restart=RESTART | {"when": when})))
    assert ruling.reason is reason
    if reason is Reason.NO_PLAYBOOK:
        assert "`when` does not hold" in ruling.explanation


def test_a_component_of_no_pack_is_left_alone() -> None:
    ruling = ruled(None, target("edge"))
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, Reason.NOT_IN_CARE)


def test_what_is_over_is_left_alone() -> None:
    assert ruled(case(is_open=False)).reason is Reason.INCIDENT_GONE


# ---- symptoms


OTHER = UUID(int=99)


def symptom(**more: Any) -> Any:
    causes = (
        cause("hang", 0.9, "provider-a"),
        cause("dependency-failure", 0.88),
        cause("hang", 0.6),
    )
    return case(*causes, symptom_of=OTHER, **more)


FAILOVER = {
    "for": ["dependency-failure"],
    "automation_level": "full-auto",
    "steps": [{"file.set": {"path": "/etc/p.toml", "key": "primary", "value": "b"}}],
}


def test_a_symptom_is_left_to_the_case_of_its_cause() -> None:
    provider = target("provider-a")
    ruling = ruled(symptom(), target(playbooks=playbooks(restart=RESTART, failover=FAILOVER)), provider)
    assert verdict(ruling) == (Verdict.ABSTAIN, Reason.SYMPTOM_OF_OTHER, None)
    assert "provider-a" in ruling.explanation


def test_a_caller_helps_itself_when_nothing_can_be_done_about_its_callee() -> None:
    payments = target(playbooks=playbooks(restart=RESTART, failover=FAILOVER))
    helpless = target("provider-a", playbooks={})
    assert verdict(ruled(symptom(), payments, helpless)) == (Verdict.EXECUTE, Reason.ACT, "failover")
    given_up = symptom(culprit_unaided=True)
    assert verdict(ruled(given_up, payments, target("provider-a")))[2] == "failover"


def test_a_caller_is_never_restarted_for_its_callee() -> None:
    helpless = target("provider-a", playbooks={})
    ruling = ruled(symptom(), target(playbooks=playbooks(restart=RESTART)), helpless)
    assert ruling.reason is Reason.SYMPTOM_OF_OTHER


# ---- attempts


def tried(playbook: str, result: str, component: str = "payments") -> Tried:
    return Tried(playbook, component, Result(result))


def test_after_a_failure_the_next_best_is_tried() -> None:
    two = target(playbooks=playbooks(restart=RESTART, other=RESTART | {"steps": [{"process.start": {}}]}))
    first = ruled(None, two)
    assert first.option is not None
    after = ruled(case(tried=(tried(first.option.playbook, "failed"),)), two)
    assert after.reason is Reason.ACT
    assert after.option is not None
    assert after.option.playbook != first.option.playbook
    assert "tried in this case" in after.explanation


def test_what_the_playbook_says_follows_is_tried_first() -> None:
    chain = target(
        playbooks=playbooks(
            restart=RESTART | {"then": "heavy"},
            other=RESTART,
            heavy=RESTART | {"for": ["hang"], "validate": {"window_s": 600}},
        )
    )
    assert ruled(case(tried=(tried("restart", "rolled-back"),)), chain).option.playbook == "heavy"  # type: ignore[union-attr]


def test_then_page_a_human_asks() -> None:
    paging = target(playbooks=playbooks(restart=RESTART | {"then": "page-a-human"}, other=RESTART))
    ruling = ruled(case(tried=(tried("restart", "rolled-back"),)), paging)
    assert verdict(ruling) == (Verdict.ASK, Reason.ESCALATED, "other")


def test_a_run_that_changed_nothing_pages_nobody_while_something_else_fits() -> None:
    """It could not be planned, or not be backed up: the next best is as good a first attempt."""
    paging = target(playbooks=playbooks(restart=RESTART | {"then": "page-a-human"}, other=RESTART))
    unchanged = replace(tried("restart", "failed"), changed=False)
    assert verdict(ruled(case(tried=(unchanged,)), paging)) == (Verdict.EXECUTE, Reason.ACT, "other")
    nothing_else = target(playbooks=playbooks(restart=RESTART | {"then": "page-a-human"}))
    assert verdict(ruled(case(tried=(unchanged,)), nothing_else))[:2] == (Verdict.ASK, Reason.ESCALATED)


def test_a_page_may_have_nothing_to_offer() -> None:
    paging = target(playbooks=playbooks(restart=RESTART | {"then": "page-a-human"}))
    ruling = ruled(case(tried=(tried("restart", "failed"),)), paging)
    assert verdict(ruling) == (Verdict.ASK, Reason.ESCALATED, None)
    assert "Asks for a person" in ruling.explanation
    undone = ruled(case(tried=(tried("restart", "rolled-back"),)), paging)
    assert verdict(undone) == (Verdict.ASK, Reason.ESCALATED, "restart")


def test_what_was_undone_cleanly_may_be_tried_again_until_attempts_are_spent() -> None:
    """Requirement E06: five attempts."""
    for runs in range(1, 5):
        again = ruled(case(tried=(tried("restart", "rolled-back"),) * runs))
        assert verdict(again) == (Verdict.EXECUTE, Reason.ACT, "restart")
    spent = ruled(case(tried=(tried("restart", "rolled-back"),) * 5))
    assert (spent.verdict, spent.reason) == (Verdict.ASK, Reason.ATTEMPTS_SPENT)


@pytest.mark.parametrize("result", ["failed", "lost"])
def test_what_was_left_half_done_is_not_tried_again(result: str) -> None:
    ruling = ruled(case(tried=(tried("restart", result),)))
    assert (ruling.verdict, ruling.reason) == (Verdict.ASK, Reason.ESCALATED)


def test_after_a_success_the_same_may_be_done_again() -> None:
    again = case(tried=(tried("restart", "failed"), tried("restart", "succeeded")))
    assert verdict(ruled(again)) == (Verdict.EXECUTE, Reason.ACT, "restart")


def test_dry_runs_and_runs_that_touched_nothing_are_no_attempts() -> None:
    assert ruled(case(tried=(tried("restart", "skipped"),) * 9)).reason is Reason.ACT


# ---- people


def test_an_approval_overrules_threshold_and_risk() -> None:
    risky = target(mode=Mode.ASSIST, playbooks=playbooks(restart=RESTART | {"risk": 0.9}))
    ruling = ruled(case(cause(confidence=0.4)), risky, approval=Approval("ann", "restart", "payments"))
    assert verdict(ruling) == (Verdict.EXECUTE, Reason.APPROVED, "restart")
    assert "By ann." in ruling.explanation


def test_an_approval_of_what_no_longer_exists_does_nothing() -> None:
    approval = Approval("ann", "gone", "payments")
    assert ruled(approval=approval).reason is Reason.NO_PLAYBOOK
    assert ruled(case(is_open=False), approval=approval).reason is Reason.INCIDENT_GONE


def test_a_rejected_playbook_is_not_asked_for_again() -> None:
    no = Declined(Reason.REJECTED, "restart", "payments", "ann")
    ruling = ruled(case(declined=no), target(mode=Mode.ASSIST, playbooks=playbooks(restart=RESTART, other=RESTART)))
    assert verdict(ruling) == (Verdict.ABSTAIN, Reason.REJECTED, "restart")
    assert ruling.decided_by == "ann"
    alone = ruled(case(declined=no), target(playbooks=playbooks(restart=RESTART, other=RESTART)))
    assert alone.reason is Reason.REJECTED


def test_a_question_that_lapsed_is_not_put_again_but_another_is() -> None:
    lapsed = case(declined=Declined(Reason.EXPIRED, "restart", "payments"))
    assert ruled(lapsed, target(mode=Mode.ASSIST)).reason is Reason.EXPIRED
    new = target(mode=Mode.ASSIST, playbooks=playbooks(new=RESTART))
    assert verdict(ruled(lapsed, new)) == (Verdict.ASK, Reason.MODE_ASSIST, "new")


def test_a_request_needs_no_cause_and_no_confidence() -> None:
    request = case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"), pattern="")
    ruling = ruled(request, target(playbooks=playbooks(restart=RESTART | {"automation_level": "manual"})))
    assert verdict(ruling) == (Verdict.EXECUTE, Reason.MANUAL, "restart")
    assert (ruling.decided_by, ruling.cause.signature) == ("ann", "request:restart")


def test_a_request_for_the_wrong_component_is_refused() -> None:
    request = case(kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"))
    ruling = ruled(request, target(playbooks=playbooks(restart=RESTART | {"components": ["edge"]})))
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, Reason.NO_PLAYBOOK)
    assert "not for payments" in ruling.explanation


def test_a_request_that_waited_too_long_lapses() -> None:
    old = case(
        kind=CaseKind.REQUEST, causes=(), requested=Requested("restart", "ann"), opened_at=NOW - timedelta(hours=1)
    )
    assert ruled(old).reason is Reason.EXPIRED


# ---- predictions and recommendations


def forecast(moment: Moment, confidence: float = 0.95) -> Any:
    return case(
        cause("resource-exhaustion", confidence),
        kind=CaseKind.PREDICTION,
        forecast=Forecast("memory_bytes", moment, 80.0, confidence),
    )


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Moment.WAIT, (Verdict.OBSERVE, Reason.AWAITING_QUIET_MOMENT, None)),
        (Moment.QUIET, (Verdict.EXECUTE, Reason.ACT, "restart")),
        (Moment.DEADLINE, (Verdict.EXECUTE, Reason.ACT, "restart")),
        (Moment.GONE, (Verdict.ABSTAIN, Reason.INCIDENT_GONE, None)),
    ],
)
def test_a_prediction_waits_for_its_moment(moment: Moment, expected: Any) -> None:
    ruling = ruled(forecast(moment), target(health="healthy"))
    assert verdict(ruling) == expected
    assert not ruling.dry_run


def test_an_open_incident_goes_before_a_prediction() -> None:
    ruling = ruled(forecast(Moment.QUIET), target(ledger=Ledger(incident_open=True)))
    assert ruling.reason is Reason.INCIDENT_FIRST


def test_an_improbable_prediction_asks() -> None:
    assert ruled(forecast(Moment.QUIET, 0.6)).reason is Reason.BELOW_THRESHOLD


KNOB = Knob.model_validate(
    {
        "component": "payments",
        "name": "timeout_ms",
        "apply": {"file.set": {"path": "/etc/p.toml", "key": "upstream.timeout_ms", "value": 400}},
        "min": 50,
        "max": 5000,
        "objective": {"minimise": "latency_p99_ms"},
    }
)


@pytest.mark.parametrize(("recommended", "set_to"), [(300.0, 300), (9_000.0, 5_000), (1.0, 50)])
def test_a_recommendation_becomes_a_question_with_a_plan_within_the_knobs_bounds(
    recommended: float, set_to: int
) -> None:
    tuned = case(
        cause("tuning", 0.8, signature="tuning:timeout_ms"),
        kind=CaseKind.RECOMMENDATION,
        tuning=Tuning("timeout_ms", recommended, 0.2),
    )
    ruling = ruled(tuned, target(knobs=(KNOB,), component=Component(process=None), health="healthy"))
    assert verdict(ruling) == (Verdict.ASK, Reason.PLAYBOOK_SEMI_AUTO, "tune-timeout-ms")
    assert ruling.option is not None
    step = ruling.option.spec.steps[0].file_set
    assert step is not None
    assert step.value == set_to
    assert ruling.cause.category is Category.TUNING


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANING) == set(Reason)


# ---- silences and storms


def test_what_is_silenced_is_only_observed() -> None:
    ruling = ruled(case(silenced="maintenance Sat 02:00/04:00"))
    assert verdict(ruling) == (Verdict.OBSERVE, Reason.SILENCED, None)
    assert "maintenance Sat 02:00/04:00" in ruling.explanation
    assert not ruling.is_transient


def test_a_person_may_heal_what_is_silenced() -> None:
    asked = case(kind=CaseKind.REQUEST, requested=Requested("restart", "ann"))
    assert verdict(ruled(asked)) == (Verdict.EXECUTE, Reason.MANUAL, "restart")
    approval = Approval("ann", "restart", "payments")
    assert ruled(case(silenced="silence 1"), approval=approval).reason is Reason.APPROVED


def test_a_storm_is_a_brake_that_time_lets_go_and_people_overrule() -> None:
    stormy = target(storm="5 of 9 components of shop alarm since 12:00:00 UTC")
    ruling = ruled(case(), stormy)
    assert verdict(ruling) == (Verdict.ABSTAIN, Reason.STORM, "restart")
    assert "5 of 9" in ruling.explanation
    assert ruling.is_transient
    asked = case(kind=CaseKind.REQUEST, requested=Requested("restart", "ann"))
    assert ruled(asked, stormy).reason is Reason.MANUAL
