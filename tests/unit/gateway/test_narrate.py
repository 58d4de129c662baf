"""Events read as sentences: what was seen, why it was decided so, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.gateway.domain.story import Act
from services.gateway.handlers.events import summary
from services.gateway.handlers.narrate import RECORDED, narrate, narrate_all
from shared.contracts.base import CaseEvent, CaseKind, Category, Severity
from shared.contracts.decider import Decision, Plan, ProviderRecovered, Verdict
from shared.contracts.decider_governance import Overridden
from shared.contracts.detector import DetectionMethod, Incident, Observation, Transition
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import Message, Outcome, Phase, Result, RouteChange, RouteChanged, RunProgress
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Moment, Prediction
from shared.packs.playbook import Playbook

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASE = UUID(int=1)
DECISION = UUID(int=2)
PLAN = Plan.model_validate(
    {
        "pack": "shop",
        "pack_version": 1,
        "playbook": "restart",
        "spec": {"for": ["crash"], "steps": [{"process.restart": {}}]},
        "component": "payments",
        "target": {},
    }
)


def incident(transition: Transition = Transition.OPENED) -> Incident:
    return Incident(
        at=NOW,
        component="orders",
        case_id=CASE,
        revision=1,
        transition=transition,
        fingerprint="f",
        pattern="error-ratio",
        method=DetectionMethod.THRESHOLD,
        severity=Severity.CRITICAL,
        summary="a third of all answers fail",
        opened_at=NOW,
        last_seen_at=NOW,
        resolved_at=NOW if transition == Transition.RESOLVED else None,
        evidence=(
            Observation(name="error ratio", observed=0.333333, expected="below 0.2", at=NOW, component="orders"),
        ),
    )


def diagnosis() -> Diagnosis:
    return Diagnosis(
        at=NOW,
        component="orders",
        case_id=CASE,
        revision=1,
        incident_revision=1,
        causes=(
            Cause(component="payments", category=Category.CONFIGURATION, confidence=0.95, signature="bad-config", evidence=("changed 3 s before",)),  # noqa: E501
            Cause(component="orders", category=Category.OVERLOAD, confidence=0.2, signature="overload:x"),
        ),
        symptom_of=UUID(int=9),
        ruled_out=("provider-a answers",),
        report="r",
    )  # fmt: skip


def decision(verdict: Verdict, by: str = "homeostat") -> Decision:
    return Decision(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        verdict=verdict,
        reason="confident",
        category=Category.CONFIGURATION,
        signature="bad-config",
        confidence=0.95,
        threshold=0.8,
        risk=0.1,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        plan=PLAN if verdict != Verdict.ABSTAIN else None,
        explanation="the file was changed just before\nnot restore: it scores less",
        decided_by=by,
    )


def progress(phase: Phase) -> RunProgress:
    return RunProgress(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        playbook="restore",
        phase=phase,
        step="file.set",
    )


def outcome(result: Result) -> Outcome:
    return Outcome(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        playbook="restore",
        signature="bad-config",
        category=Category.CONFIGURATION,
        confidence=0.95,
        result=result,
        reason="the incident is resolved",
        opened_at=NOW,
        started_at=NOW,
        applied_at=NOW + timedelta(seconds=2.5),
        finished_at=NOW + timedelta(seconds=9),
    )


def prediction(moment: Moment, revision: int = 1) -> Prediction:
    return Prediction(
        at=NOW,
        component="catalog",
        case_id=CASE,
        revision=revision,
        metric="memory",
        current=3e8,
        limit=4e8,
        slope_per_s=5e6,
        eta_s=20,
        eta_low_s=18,
        eta_high_s=22,
        probability=0.97,
        predicted_issue="out-of-memory",
        signature="s",
        moment=moment,
        summary="memory reaches its limit in 20 s",
    )


def recommendation() -> Recommendation:
    return Recommendation(
        at=NOW,
        component="payments",
        case_id=CASE,
        knob="timeout_ms",
        pack="shop",
        current=400,
        recommended=300,
        unit="ms",
        expected_improvement="p99 10 % lower",
        evidence="400 samples",
        implementation_steps=(),
        risk=0.1,
        samples=400,
    )


def request() -> ManualRequest:
    return ManualRequest(at=NOW, component="orders", case_id=CASE, playbook="restart", by="ann", comment="it looks odd")


def route_changed(change: RouteChange = RouteChange.FAILOVER_TRIGGERED) -> RouteChanged:
    return RouteChanged(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        playbook="fail-over",
        change=change,
        from_provider="provider-a",
        to_provider="provider-b",
    )


def recovered() -> ProviderRecovered:
    return ProviderRecovered(
        at=NOW,
        component="payments",
        case_id=CASE,
        provider="provider-a",
        in_use="provider-b",
        well_since=NOW,
        waited_s=120,
        returns_of_the_day=1,
    )


def overridden() -> Overridden:
    return Overridden(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        signature="bad-config",
        was=Verdict.EXECUTE,
        was_playbook="restart",
        verdict=Verdict.ABSTAIN,
        by="ann",
        reason="a deployment is on",
        applied=True,
    )


def message() -> Message:
    return Message(
        at=NOW,
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        playbook="tell",
        channel="ops",
        severity=Severity.WARNING,
        text="the retry has begun",
    )


ONE_OF_EACH: list[CaseEvent] = [
    incident(),
    diagnosis(),
    decision(Verdict.EXECUTE),
    progress(Phase.APPLIED),
    outcome(Result.SUCCEEDED),
    prediction(Moment.WAIT),
    recommendation(),
    request(),
    route_changed(),
    recovered(),
    overridden(),
    message(),
]


def test_a_detour_and_its_way_back_are_told() -> None:
    assert narrate(route_changed()).title == "traffic of payments fails over from provider-a to provider-b"  # type: ignore[union-attr]
    told = narrate(recovered())
    assert told is not None
    assert told.title == "provider-a is well again; payments still uses provider-b"
    assert "the wait was doubled" in told.lines[-1]


def test_every_recorded_contract_can_be_told_and_found_again() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(RECORDED.values())
    for event in ONE_OF_EACH:
        assert narrate(event) is not None
        assert summary(event).key
    assert len({summary(event).kind for event in ONE_OF_EACH}) == len(RECORDED)


@pytest.mark.parametrize(
    ("event", "act", "title", "line"),
    [
        (incident(), Act.SEEN, "critical error-ratio on orders: a third of all answers fail", "error ratio is 0.3333, expected below 0.2"),  # noqa: E501
        (incident(Transition.RESOLVED), Act.CAME_OF_IT, "error-ratio on orders is gone", ""),
        (diagnosis(), Act.CONCLUDED, "cause: configuration of payments, 95 % sure (bad-config)", "less likely: overload of orders 20 %"),  # noqa: E501
        (decision(Verdict.ASK), Act.DECIDED, "ask a person before restart on payments", "the file was changed just before"),  # noqa: E501
        (decision(Verdict.EXECUTE, by="ann"), Act.DECIDED, "do restart on payments, said ann", "not restore: it scores less"),  # noqa: E501
        (decision(Verdict.ABSTAIN), Act.DECIDED, "do nothing to payments", "rule confident"),
        (progress(Phase.STEP), Act.DONE, "restore: step file.set", ""),
        (outcome(Result.SUCCEEDED), Act.CAME_OF_IT, "restore helped", "2.5 s from the first sign to the repair"),
        (outcome(Result.FAILED), Act.CAME_OF_IT, "restore failed; a person is needed", "9.0 s from the first sign to the confirmed end"),  # noqa: E501
        (prediction(Moment.GONE), Act.CAME_OF_IT, "memory reaches its limit in 20 s", "out-of-memory is no longer expected"),  # noqa: E501
        (prediction(Moment.QUIET), Act.SEEN, "memory reaches its limit in 20 s", "it is quiet: a good moment to act"),
        (recommendation(), Act.SEEN, "set timeout_ms of payments from 400 to 300 ms", "p99 10 % lower"),
        (request(), Act.SEEN, "ann asks for restart on orders", "it looks odd"),
    ],
)  # fmt: skip
def test_events_as_sentences(event: CaseEvent, act: Act, title: str, line: str) -> None:
    told = narrate(event)
    assert told is not None
    assert (told.act, told.title) == (act, title)
    assert not line or line in told.lines
    assert all(told.lines)


def test_a_decision_says_what_its_playbook_asks_to_hold() -> None:
    asked = {
        "preconditions": [{"name": "quiet", "that": "runs.count == 0"}],
        "success_criteria": [{"name": "fast", "that": "figures.latency_ms.max < 400.0"}],
    }
    spec = Playbook.model_validate({**PLAN.spec.model_dump(mode="json", by_alias=True, exclude_none=True), **asked})
    plan = PLAN.model_copy(update={"spec": spec})
    told = narrate(decision(Verdict.EXECUTE).model_copy(update={"plan": plan}))
    assert told is not None
    assert told.lines[-2:] == (
        "begins only while `quiet` holds: runs.count == 0",
        "has helped when `fast` holds: figures.latency_ms.max < 400.0",
    )


def test_what_only_adds_to_another_moment_is_none() -> None:
    assert narrate(incident(Transition.EVIDENCE)) is None
    for final in (Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED, Phase.SKIPPED):
        assert narrate(progress(final)) is None
    assert all(
        narrate(progress(phase))
        for phase in set(Phase) - {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED, Phase.SKIPPED}
    )


def test_a_prediction_is_told_again_only_when_its_timing_changes() -> None:
    revisions = [Moment.WAIT, Moment.WAIT, Moment.QUIET, Moment.QUIET, Moment.GONE]
    told = narrate_all(prediction(moment, number) for number, moment in enumerate(revisions, 1))
    assert len(told) == 3


def test_an_unknown_contract_is_refused() -> None:
    class Other(CaseEvent):
        case_kind: CaseKind = CaseKind.REQUEST

    with pytest.raises(TypeError, match="Other"):
        summary(Other(at=NOW, component="x", case_id=CASE))
