"""Which lines are errors, of what kind, and how many make an incident."""

from __future__ import annotations

import pytest

from services.detector.domain.log_patterns import BUILT_IN, classify
from services.detector.domain.signals import Severity
from tests.unit.detector.lines import Timeline, watch


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("requests.exceptions.HTTPError: 502 Server Error: Bad Gateway for url: http://x", "api_error"),
        ("500 Server Error", "api_error"),
        ("Traceback: something", "python_exception"),
        ("ValueError: bad", "python_exception"),
        ("sqlalchemy.exc.OperationalError: (psycopg) connection refused", "database_error"),
        ("IntegrityError duplicate key", "database_error"),
        ("HTTP 429 - Too Many Requests", "rate_limit"),
        ("429 Client Error: Too Many Requests for url", "rate_limit"),
        ("Groq API error: 429 Too Many Requests", "llm_error"),
        ("200 OK", None),
        ("all is well", None),
    ],
)
def test_the_most_specific_kind_wins(line: str, kind: str | None) -> None:
    found = classify(BUILT_IN, line)
    assert (found.id if found else None) == kind


def test_a_burst_is_an_incident_and_less_is_evidence() -> None:
    web = Timeline()
    for second in range(4):
        web.log(second, "HTTP 429 Too Many Requests")
    assert web.incidents == []
    web.log(4, "HTTP 429 Too Many Requests")
    (opened,) = web.incidents
    assert (opened.pattern, opened.severity, opened.labels["category"]) == (
        "log:rate_limit",
        Severity.WARNING,
        "rate-limit",
    )
    assert "429 Too Many Requests" in str(opened.evidence[0].observed)
    assert opened.error_count >= 1


def test_lines_spread_thinly_are_no_burst() -> None:
    web = Timeline()
    for second in range(0, 1_000, 20):
        web.log(second, "HTTP 429 Too Many Requests")
    assert web.incidents == []


def test_a_burst_is_over_when_it_has_been_quiet_for_its_window() -> None:
    web = Timeline()
    web.log(0, *["OperationalError: connection refused"] * 5)
    web.check(20, "ok")
    assert web.transitions == ["opened"]
    web.check(31, "ok")
    assert web.transitions == ["opened", "resolved"]


def test_a_packs_pattern_goes_before_the_built_in_ones() -> None:
    web = Timeline(
        watch(
            log_patterns=[{"id": "card-declined", "match": "ProviderError: declined", "burst": 2, "category": "crash"}]
        )
    )
    web.log(0, "ProviderError: declined", "ProviderError: declined")
    assert [incident.pattern for incident in web.incidents] == ["log:card-declined"]
    web.log(1, *["ProviderError: declined"] * 5, component="elsewhere")
    assert [incident.pattern for incident in web.incidents if incident.component == "elsewhere"] == [
        "log:python_exception"
    ]


def test_error_lines_of_no_known_kind_still_count_as_errors() -> None:
    web = Timeline()
    web.log(0, "something odd", "something else")
    web.log(2, "routine", level="info")
    assert web.incidents == []
    assert web.healths[-1].error_count == 2
