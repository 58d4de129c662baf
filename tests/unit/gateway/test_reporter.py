"""The report of an incident, written from what was recorded of it (requirements C12, C13)."""

from __future__ import annotations

from datetime import timedelta

from services.gateway.domain.incident_report import as_markdown
from services.gateway.handlers.reporter import write
from shared.contracts.base import Category
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Transition
from shared.contracts.diagnoser import Cause, Diagnosis, NextObservation
from shared.contracts.healer import Outcome, Result
from tests.unit.gateway.test_narrate import CASE, DECISION, NOW, PLAN, incident


def diagnosis(category: Category = Category.CONFIGURATION, **more: object) -> Diagnosis:
    cause = Cause(component="payments", category=category, confidence=0.9, signature="s", evidence=("it was edited",))
    return Diagnosis(
        at=NOW + timedelta(seconds=1),
        component="orders",
        case_id=CASE,
        revision=1,
        incident_revision=1,
        causes=(cause,),
        affected=("edge", "orders"),
        ruled_out=("payments has not crashed",),
        recent_changes=("config of payments 5 s before: *edited*",),
        report="",
        estimated_fix_s=20,
        fix_type="configuration",
        **more,  # type: ignore[arg-type]
    )


def decision() -> Decision:
    return Decision(
        at=NOW + timedelta(seconds=2),
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        verdict=Verdict.EXECUTE,
        reason="sure-enough",
        category=Category.CONFIGURATION,
        signature="s",
        confidence=0.9,
        threshold=0.85,
        risk=0.1,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        plan=PLAN,
        explanation="it has helped before",
    )


def outcome() -> Outcome:
    return Outcome(
        at=NOW + timedelta(seconds=12),
        component="payments",
        case_id=CASE,
        decision_id=DECISION,
        playbook="restart",
        signature="s",
        category=Category.CONFIGURATION,
        confidence=0.9,
        result=Result.SUCCEEDED,
        reason="all clear",
        opened_at=NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=12),
    )


def test_a_healed_incident_is_told_from_its_first_sign_to_its_end() -> None:
    report = write([incident(), diagnosis(), decision(), outcome()])
    assert report is not None
    told = {section.title: "\n".join(section.lines) for section in report.sections}
    assert "The likeliest cause is configuration of payments, 90 % sure. restart healed it." in report.summary
    for title, said in {
        "What happened": "a third of all answers fail",
        "Who was affected": "Callers of payments: edge, orders",
        "Why": "it was edited",
        "What was ruled out": "payments has not crashed",
        "What had changed": "config of payments 5 s before",
        "What was decided": "it has helped before",
        "What came of it": "restart helped",
        "Time to fix": "Expected: 20 s; a matter of configuration\nTaken: 12.0 s",
    }.items():
        assert said in told[title]
    assert next(iter(told)) == "What happened"
    assert "What to look at" not in told


def test_markup_in_what_others_said_stays_text() -> None:
    report = write([incident(), diagnosis()])
    assert report is not None
    text = as_markdown(report)
    assert text.startswith("# Incident 00000000: error-ratio at orders\n")
    assert r"\*edited\*" in text


def test_thin_evidence_says_what_to_look_at() -> None:
    look = NextObservation(
        name="process-exited",
        component="orders",
        question="is the process of orders gone?",
        gain_bits=0.4,
        if_yes=Category.CRASH,
        if_no=Category.TIMEOUT,
    )
    report = write([incident(), diagnosis(Category.UNKNOWN, next_observation=look)])
    assert report is not None
    assert "The cause is not known." in report.summary
    assert any("is the process of orders gone? Yes: crash; no: timeout" in s.lines[0] for s in report.sections)


def test_an_incident_that_has_only_been_seen_has_a_report_and_other_cases_have_none() -> None:
    report = write([incident(Transition.OPENED)])
    assert report is not None
    assert "Nothing has been concluded yet." in report.summary
    assert write([decision()]) is None
