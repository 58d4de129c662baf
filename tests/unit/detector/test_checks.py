"""How often must a probe fail before it is an incident, and how does it end?"""

from __future__ import annotations

import pytest

from services.detector.domain.signals import Severity
from tests.unit.detector.lines import T0, Timeline, watch

PROBES = [{"component": "web", "http": {"url": "http://127.0.0.1:1/"}, "fail_after": 3, "clear_after": 2}]


def test_one_failure_is_nothing_two_in_a_row_are_an_incident() -> None:
    web = Timeline()
    web.check(0, "timeout")
    assert web.incidents == []
    web.check(1, "timeout")
    (opened,) = web.incidents
    assert (opened.pattern, opened.severity, opened.error_count) == ("http-timeout", Severity.CRITICAL, 2)


def test_failures_that_are_not_in_a_row_are_nothing() -> None:
    web = Timeline()
    for second in range(0, 40, 2):
        web.check(second, "timeout")
        web.check(second + 1, "ok")
    assert web.incidents == []


@pytest.mark.parametrize(
    ("kind", "result", "pattern"),
    [
        ("process", "exited", "process-exited"),
        ("docker", "exited", "container-exited"),
    ],
)
def test_a_process_known_to_have_exited_counts_at_once(kind: str, result: str, pattern: str) -> None:
    web = Timeline()
    web.check(0, result, kind=kind)
    assert [incident.pattern for incident in web.incidents] == [pattern]


@pytest.mark.parametrize(
    ("kind", "result", "pattern"),
    [
        ("http", "refused", "http-refused"),
        ("tcp", "timeout", "tcp-timeout"),
        ("postgres", "error", "postgres-error"),
        ("http", "slow", "http-slow"),
        ("process", "stopped", "process-stopped"),
    ],
)
def test_patterns_name_the_probe_and_what_it_saw(kind: str, result: str, pattern: str) -> None:
    web = Timeline()
    web.check(0, result, kind=kind)
    web.check(1, result, kind=kind)
    assert [incident.pattern for incident in web.incidents] == [pattern]


def test_a_good_answer_slower_than_five_seconds_is_a_warning() -> None:
    web = Timeline()
    for second in (0, 10):
        web.check(second, "ok", latency_ms=5_001.0)
    (opened,) = web.incidents
    assert (opened.pattern, opened.severity, opened.error_count) == ("http-slow", Severity.WARNING, 0)


def test_the_packs_numbers_hold_for_the_packs_probes() -> None:
    web = Timeline(watch(probes=PROBES))
    for second in range(3):
        assert web.incidents == []
        web.check(second, "error", kind="http/http://127.0.0.1:1/")
    assert web.transitions == ["opened"]


def test_enough_good_results_in_a_row_resolve() -> None:
    web = Timeline()
    for second, result in enumerate(["refused", "refused", "ok", "timeout", "ok", "ok"]):
        web.check(second, result)
    assert web.transitions == ["opened", "resolved"]
    assert web.incidents[-1].resolved_at == T0 + 5


def test_during_a_repair_an_exit_must_be_confirmed() -> None:
    web = Timeline()
    web.fold.repair("web", T0)
    web.check(1, "exited", kind="process")
    web.check(2, "ok", kind="process")
    assert web.incidents == []
    web.check(3, "exited", kind="process")
    web.check(4, "exited", kind="process")
    assert web.transitions == ["opened"]


def test_what_is_seen_once_in_the_middle_of_a_repair_does_not_rename_the_trouble() -> None:
    web = Timeline()
    for second, result in enumerate(["stopped", "stopped", "exited", "ok", "ok"]):
        web.check(second, result, kind="process")
    assert {incident.pattern for incident in web.incidents} == {"process-stopped"}


def test_a_trouble_that_really_turned_into_another_takes_its_name() -> None:
    web = Timeline()
    for second, result in enumerate(["slow", "slow", "timeout", "timeout"]):
        web.check(second, result)
    assert [told for told in web.transitions if told != "evidence"] == ["opened", "escalated"]
    assert web.incidents[-1].pattern == "http-timeout"
    assert web.incidents[-1].incident_id == web.incidents[0].incident_id


def test_two_failures_at_once_are_two_incidents() -> None:
    both = Timeline()
    for second in (0, 1):
        both.check(second, "refused", component="web")
        both.check(second, "refused", component="db", kind="tcp")
    assert {incident.component for incident in both.incidents} == {"web", "db"}
    assert len({incident.incident_id for incident in both.incidents}) == 2
