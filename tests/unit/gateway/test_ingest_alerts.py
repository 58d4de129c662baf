"""Alerts of Prometheus and Alertmanager become incidents of other systems."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ingest.alerts import MAX_ALERTS, Alerts, IncidentSeen, fingerprint, incidents, read_alerts
from services.gateway.domain.ingest.alerts import read_webhook as read
from services.gateway.domain.ingest.errors import MalformedError, ReportError, TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"
LABELS = {"alertname": "High Latency", "service": "orders", "severity": "critical"}


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def alert(**more: Any) -> dict[str, Any]:
    return {"labels": LABELS, "annotations": {"summary": "slow"}, "startsAt": at(-60), "generatorURL": "x", **more}


def take(*alerts: object) -> Alerts:
    return incidents(alerts, ComponentRule(), NOW)


def only(raw: object) -> IncidentSeen:
    (seen,) = take(raw).incidents
    return seen


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ALMOST = st.fixed_dictionaries(
    {},
    optional={
        "labels": JSON | st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
        "annotations": JSON | st.dictionaries(st.just("summary"), st.text()),
        "status": JSON,
        "startsAt": JSON | st.sampled_from([NEVER, at(1), "9999-12-31T23:59:59-14:00", "0002-01-01T00:00:00+14:00"]),
        "endsAt": JSON | st.sampled_from([NEVER, at(-1), "9999-12-31T23:59:59-14:00"]),
    },
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_alerts_or_a_declared_error(body: bytes) -> None:
    for reader in (read, read_alerts):
        with suppress(ReportError):
            take(*reader(body))


@given(st.lists(ALMOST | JSON, max_size=5))
def test_every_alert_is_taken_or_its_problem_is_told(alerts: list[object]) -> None:
    taken = take(*alerts)
    assert len(taken.incidents) + len(taken.problems) + taken.passed_over == len(alerts)


def test_a_webhook_may_hold_more_than_is_known() -> None:
    body = {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "receiver": "h", "new": [1], "alerts": [alert()]}
    assert read(json.dumps(body).encode()) == [alert()]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"version": "4"}', b'{"version": "3", "alerts": []}'])
def test_what_is_no_webhook_is_told(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


def test_alerts_are_bounded() -> None:
    with pytest.raises(TooLargeError):
        read_alerts(b"[" + b"1," * MAX_ALERTS + b"1]")
    assert take({"labels": {"a": "x" * 5_000}}).problems
    assert take({"labels": {str(n): "x" for n in range(65)}}).problems


def test_a_firing_alert_is_an_incident_of_its_component() -> None:
    seen = only(alert(status="firing", endsAt=NEVER))
    assert (seen.component, seen.pattern, seen.firing, seen.critical) == ("orders", "high-latency", True, True)
    assert (seen.summary, seen.at) == ("slow", NOW - timedelta(seconds=60))
    assert seen.labels == LABELS


@pytest.mark.parametrize(
    ("more", "firing", "seconds"),
    [
        ({"status": "firing", "endsAt": NEVER}, True, -60),
        ({"status": "resolved", "endsAt": at(-5)}, False, -5),
        ({"endsAt": at(240)}, True, -60),
        ({"endsAt": at(-5)}, False, -5),
        ({"endsAt": at(0)}, False, 0),
        ({}, True, -60),
        ({"startsAt": None}, True, 0),
        ({"status": "resolved"}, False, 0),
    ],
)
def test_an_end_that_has_passed_resolves(more: dict[str, Any], firing: bool, seconds: float) -> None:
    seen = only(alert(**more))
    assert (seen.firing, seen.at) == (firing, NOW + timedelta(seconds=seconds))


def test_prometheus_says_until_when_an_alert_holds_and_alertmanager_tells_of_its_end() -> None:
    assert only(alert(endsAt=at(240))).expires_at == NOW + timedelta(seconds=240)
    assert only(alert(status="firing", endsAt=at(240))).expires_at is None
    assert only(alert(endsAt=at(-5))).expires_at is None


@pytest.mark.parametrize(
    ("severity", "critical"), [("critical", True), ("Page", True), ("warning", False), ("info", False), ("", False)]
)
def test_severity_is_that_of_the_label(severity: str, critical: bool) -> None:
    assert only({"labels": {**LABELS, "severity": severity}}).critical is critical


def test_alerts_about_alerting_are_no_incidents() -> None:
    assert take({"labels": {"alertname": "Watchdog", "severity": "none"}}) == Alerts([], [], 1)


def test_the_same_alert_is_the_same_incident_whoever_sends_it() -> None:
    direct = only(alert(endsAt=at(240)))
    replica = only({**alert(endsAt=at(300)), "labels": {**LABELS, "prometheus_replica": "b"}})
    by_webhook = only(alert(status="firing", endsAt=NEVER))
    ended = only(alert(status="resolved", endsAt=at(-1)))
    assert len({seen.external_id for seen in (direct, replica, by_webhook, ended)}) == 1


def test_the_same_word_has_the_same_id_and_a_new_word_another() -> None:
    said = [alert(endsAt=at(240)), alert(endsAt=at(300)), alert(endsAt=at(-1)), alert(startsAt=at(-30), endsAt=at(240))]
    assert only(said[0]).id == only(said[0]).id
    assert len({only(each).id for each in said}) == len(said)


def test_without_times_each_word_is_new() -> None:
    raw = {"labels": LABELS}
    later = incidents([raw], ComponentRule(), NOW + timedelta(seconds=1)).incidents[0]
    assert only(raw).id != later.id


def test_fingerprints_depend_on_labels_and_not_on_their_order() -> None:
    assert fingerprint(LABELS) == fingerprint(dict(reversed(LABELS.items())))
    assert fingerprint({"ab": "c"}) != fingerprint({"a": "bc"})


def test_a_bad_alert_takes_no_other_with_it() -> None:
    taken = take(alert(), {"labels": {}}, 7, alert(startsAt="yesterday"))
    assert len(taken.incidents) == 1
    assert [problem.partition(":")[0] for problem in taken.problems] == ["alerts.1", "alerts.2", "alerts.3"]
