"""What a playbook asks of whoever has it run: permissions, values of its parameters, preconditions; and its ladder."""

from __future__ import annotations

from typing import Any

import pytest

from services.decider.domain import Approval, Case, CaseKind, Reason, Requested, Result, Ruling, Target, Tried, Verdict
from services.decider.domain.governor.leases import LEASE_MARGIN_S, lease_s
from shared.packs import Category, Playbook
from tests.unit.decider.scenes import RESTART, case, playbooks, ruled, target

PRIVILEGED = RESTART | {"required_permissions": ["network"]}


def said(ruling: Ruling) -> tuple[Verdict, Reason, str | None]:
    return ruling.verdict, ruling.reason, ruling.option.playbook if ruling.option else None


def requested(playbook: str = "restart", **more: Any) -> Case:
    return case(kind=CaseKind.REQUEST, causes=(), requested=Requested(playbook, "ann", **more))


# ---- permissions


def of(spec: dict[str, Any], *permissions: str) -> Target:
    return target(playbooks=playbooks(restart=spec), policy={"permissions": permissions})


def test_what_the_policy_does_not_permit_is_never_run_alone() -> None:
    ruling = ruled(None, of(PRIVILEGED, "money"))
    assert said(ruling) == (Verdict.ASK, Reason.NOT_PERMITTED, "restart")
    assert "restart needs network, which the policy of shop does not permit" in ruling.explanation


def test_what_the_policy_permits_runs() -> None:
    assert ruled(None, of(PRIVILEGED, "network")).verdict is Verdict.EXECUTE
    assert ruled(None, of(PRIVILEGED, "*")).verdict is Verdict.EXECUTE


@pytest.mark.parametrize(
    ("permissions", "verdict"),
    [((), Verdict.ABSTAIN), (("money",), Verdict.ABSTAIN), (("network",), Verdict.EXECUTE), (("*",), Verdict.EXECUTE)],
)
def test_a_person_approves_and_requests_only_what_they_are_permitted(
    permissions: tuple[str, ...], verdict: Verdict
) -> None:
    approved = ruled(None, of(PRIVILEGED), approval=Approval("ann", "restart", "payments", permissions=permissions))
    assert approved.verdict is verdict
    asked = ruled(requested(permissions=permissions), of(PRIVILEGED))
    assert asked.verdict is verdict
    if verdict is Verdict.ABSTAIN:
        assert approved.reason is asked.reason is Reason.NOT_PERMITTED
        assert "which ann is not permitted" in asked.explanation


# ---- parameters

TUNED = RESTART | {
    "parameters": {"size": {"type": "integer", "min": 1, "max": 9}},
    "steps": [{"process.restart": {}, "timeout_s": "${param.size}"}],
}


def test_what_needs_a_value_from_a_person_is_not_run_alone() -> None:
    ruling = ruled(None, of(TUNED))
    assert (ruling.verdict, ruling.reason) == (Verdict.ABSTAIN, Reason.NO_PLAYBOOK)
    assert "'size' has no default" in ruling.explanation


def test_a_person_s_values_go_into_the_plan_and_bad_ones_are_refused() -> None:
    ruling = ruled(requested(parameters={"size": 4}), of(TUNED))
    assert ruling.verdict is Verdict.EXECUTE
    assert ruling.option is not None
    assert ruling.option.spec.parameters["size"].default == 4
    refused = ruled(requested(parameters={"size": 40}), of(TUNED))
    assert refused.verdict is Verdict.ABSTAIN
    assert "above max 9" in refused.explanation


# ---- preconditions


def conditional(that: str) -> dict[str, Any]:
    return RESTART | {"preconditions": [{"name": "idle", "that": that}]}


def test_a_precondition_that_is_known_not_to_hold_rules_a_playbook_out() -> None:
    ruling = ruled(None, of(conditional("health.status != 'critical'")))
    assert ruling.verdict is Verdict.ABSTAIN
    assert "its precondition `idle` does not hold" in ruling.explanation


def test_one_that_only_the_healer_can_tell_is_left_to_it() -> None:
    assert ruled(None, of(conditional("figures.queue.last < 10.0"))).verdict is Verdict.EXECUTE


# ---- the ladder


def ladder(**policy: Any) -> Target:
    rungs = playbooks(
        first=RESTART | {"then": "second"},
        second=RESTART | {"then": "third", "for": ["unknown"]},
        third=RESTART | {"then": "page-a-human", "for": ["unknown"]},
    )
    return target(playbooks=rungs, policy=policy)


def after(*tried: tuple[str, Result], **policy: Any) -> tuple[Verdict, Reason, str | None]:
    runs = tuple(Tried(playbook, "payments", result) for playbook, result in tried)
    return said(ruled(case(tried=runs), ladder(**policy)))


def test_each_rung_is_decided_anew_and_the_last_one_calls_a_person() -> None:
    failed = [(name, Result.ROLLED_BACK) for name in ("first", "second", "third")]
    assert after() == (Verdict.EXECUTE, Reason.ACT, "first")
    assert after(*failed[:1]) == (Verdict.EXECUTE, Reason.ACT, "second")
    assert after(*failed[:2]) == (Verdict.EXECUTE, Reason.ACT, "third")
    assert after(*failed)[:2] == (Verdict.ASK, Reason.ESCALATED)


def test_a_ladder_is_no_longer_than_the_attempts_that_are_allowed() -> None:
    assert after(("first", Result.FAILED), max_attempts=1)[:2] == (Verdict.ASK, Reason.ATTEMPTS_SPENT)


def test_a_rung_asks_the_same_of_confidence_and_limits_as_any_other_playbook() -> None:
    assert after(("first", Result.FAILED), actions_per_hour=0)[:2] == (Verdict.ABSTAIN, Reason.BUDGET_SPENT)


def test_a_skipped_run_leaves_its_rung_of_the_ladder() -> None:
    """Its precondition did not hold: nothing was tried, so what failed before still is the last failure."""
    tried = (("first", Result.FAILED), ("second", Result.SKIPPED))
    assert after(*tried) == (Verdict.EXECUTE, Reason.ACT, "second")
    spent = [(name, Result.FAILED) for name in ("first", "second", "third")]
    assert after(*spent, ("third", Result.SKIPPED))[:2] == (Verdict.ASK, Reason.ESCALATED)


def test_a_lease_covers_every_attempt_and_its_pauses() -> None:
    step = {"process.restart": {}, "timeout_s": 10, "retry": {"attempts": 3, "backoff_s": 2}}
    spec = Playbook.model_validate({"for": [Category.CRASH], "steps": [step], "validate": {"window_s": 5}})
    assert lease_s(spec) == 4 * 10 + (2 + 4) + LEASE_MARGIN_S
