"""The source systems' requirements of detection (section B), row by row.

Rows that other tests cover: B06 in the gateway's `test_domain.py` (confidence, action required), B28 also in
`test_outliers.py` (hours of noise), B29 also in the gateway's `test_situations.py`.
"""

from __future__ import annotations

import random

import pytest

from services.detector.domain.signals import HealthStatus, Method, Severity
from tests.unit.detector.lines import Reading, Timeline, watch


def test_b01_health_has_three_levels() -> None:
    timeline = Timeline()
    timeline.check(0, "ok")
    for second in (1, 2):
        timeline.check(second, "slow")
    timeline.check(3, "exited", kind="process")
    assert [told.status for told in timeline.healths] == [
        HealthStatus.HEALTHY,
        HealthStatus.WARNING,
        HealthStatus.CRITICAL,
    ]


@pytest.mark.parametrize(
    ("metric", "limit"), [("host_cpu_percent", 90.0), ("host_memory_percent", 90.0), ("host_disk_percent", 95.0)]
)
def test_b02_b03_b04_host_limits_are_critical(metric: str, limit: float) -> None:
    timeline = Timeline()
    for second in range(0, 60, 5):
        timeline.metric(second, metric, limit)
    assert timeline.incidents == []
    for second in range(60, 120, 5):
        timeline.metric(second, metric, limit + 0.1)
    assert timeline.incidents[0].severity is Severity.CRITICAL


@pytest.mark.parametrize(("latency_ms", "slow"), [(5_000, False), (5_001, True)])
def test_b05_an_answer_slower_than_five_seconds_is_a_warning(latency_ms: float, slow: bool) -> None:
    timeline = Timeline()
    for second in range(3):
        timeline.check(second, "ok", latency_ms=latency_ms)
    assert [incident.severity for incident in timeline.incidents[:1]] == ([Severity.WARNING] if slow else [])


def test_b15_b16_b27_unusual_patterns_are_spotted_without_any_rule() -> None:
    """Statistical models that learn as they go: the usual range of a series, and siblings that differ."""
    noise = random.Random(2)
    timeline = Timeline(watch())
    for second in range(400):
        timeline.metrics(
            second,
            Reading("depth", noise.gauss(50, 3) if second < 300 else 500),
            *(
                Reading("cpu_percent", 90 if second > 300 and n == 2 else noise.gauss(30, 2), {"pod": f"p{n}"})
                for n in range(4)
            ),
        )
    assert "depth" in {anomaly.metric for anomaly in timeline.anomalies}
    assert "outlier:cpu_percent" in {incident.pattern for incident in timeline.incidents}


def test_b17_a_trouble_that_comes_again_is_recognised_with_its_past() -> None:
    timeline = Timeline()
    for hour in range(3):
        timeline.check(hour * 3_600, "exited", kind="process")
        for later in (1, 2):
            timeline.check(hour * 3_600 + later, "ok", kind="process")
    assert [told.seen_before for told in timeline.incidents if told.transition == "opened"] == [0, 1, 2]


def test_b18_every_incident_says_how_it_was_detected() -> None:
    timeline = Timeline(watch(rules=[{"id": "busy", "expr": "load > 1"}]))
    timeline.check(0, "exited", kind="process")
    timeline.metric(1, "host_disk_percent", 99)
    timeline.metric(3, "load", 2)
    timeline.log(4, *["OperationalError: gone"] * 10, component="db")
    timeline.external(5, True)
    assert {told.method for told in timeline.incidents} == {
        Method.PROBE,
        Method.THRESHOLD,
        Method.LOG_PATTERN,
        Method.EXTERNAL,
    }


def test_b28_a_day_of_normal_running_raises_no_false_alarm() -> None:
    noise = random.Random(8)
    sections = {
        "components": {"web": {"slo": {"availability": 0.999, "latency_p99_ms": 400}}, "db": {}},
        "ratios": [{"component": "web"}],
        "rules": [
            {"metric": "queue_depth", "above": 200, "for_s": 60},
            {"id": "r", "expr": "rate(errors_total[5m]) > 1"},
        ],
    }
    timeline = Timeline(watch(**sections))
    served = failed = errors = 0.0
    for second in range(0, 86_400, 30):
        served += noise.uniform(500, 900)
        failed += noise.random() < 0.05
        errors += noise.random() < 0.2
        timeline.metrics(
            second,
            Reading("http_requests_total", served, {"status": "200"}),
            Reading("http_requests_total", failed, {"status": "503"}),
            Reading("errors_total", errors),
            Reading("queue_depth", max(0.0, noise.gauss(60, 20))),
            *(Reading("cpu_percent", noise.gauss(30, 5), {"instance": f"n{n}"}) for n in range(3)),
        )
    assert timeline.incidents == []


def test_b29_two_failures_at_once_are_two_incidents() -> None:
    timeline = Timeline()
    timeline.check(0, "exited", component="web", kind="process")
    timeline.check(0, "exited", component="db", kind="process")
    timeline.metric(0, "host_disk_percent", 99)
    assert len({told.incident_id for told in timeline.incidents}) == 3
