"""Limits, error ratios and unusual readings."""

from __future__ import annotations

import random

import pytest

from services.detector.domain.signals import Severity
from tests.unit.detector.lines import Reading, Timeline, watch

RATIO = {"component": "web", "above": 0.2, "window_s": 10, "min_events": 10}


@pytest.mark.parametrize(
    ("metric", "value", "pattern"),
    [("host_memory_percent", 90.1, "memory-high"), ("host_disk_percent", 95.1, "disk-high")],
)
def test_a_full_host_is_critical_at_once(metric: str, value: float, pattern: str) -> None:
    host = Timeline()
    host.metric(0, metric, value)
    (opened,) = host.incidents
    assert (opened.pattern, opened.severity) == (pattern, Severity.CRITICAL)


@pytest.mark.parametrize(
    ("metric", "value"), [("host_memory_percent", 90.0), ("host_disk_percent", 95.0), ("host_cpu_percent", 90.0)]
)
def test_at_the_limit_is_within_it(metric: str, value: float) -> None:
    host = Timeline()
    for second in range(0, 120, 5):
        host.metric(second, metric, value)
    assert host.incidents == []


def test_a_busy_processor_counts_only_after_thirty_seconds_without_a_pause() -> None:
    host = Timeline()
    for second in range(0, 30, 5):
        host.metric(second, "host_cpu_percent", 99)
    host.metric(30, "host_cpu_percent", 50)
    for second in range(35, 65, 5):
        host.metric(second, "host_cpu_percent", 99)
    assert host.incidents == []
    host.metric(65, "host_cpu_percent", 99)
    assert [incident.pattern for incident in host.incidents] == ["cpu-high"]
    for second in (70, 75):
        host.metric(second, "host_cpu_percent", 40)
    assert host.transitions[-1] == "resolved"


def test_a_packs_rule_replaces_the_default_for_its_metric() -> None:
    host = Timeline(watch(rules=[{"metric": "host_disk_percent", "above": 99}]))
    host.metric(0, "host_disk_percent", 97)
    assert host.incidents == []
    host.metric(1, "host_disk_percent", 97, component="not-in-any-pack")
    assert [incident.component for incident in host.incidents] == ["not-in-any-pack"]


def test_two_full_disks_are_two_incidents() -> None:
    host = Timeline()
    host.metric(0, "host_disk_percent", 99, path="/")
    host.metric(0, "host_disk_percent", 98, path="/data")
    assert len({incident.incident_id for incident in host.incidents}) == 2


def test_a_rate_rule_measures_the_increase_of_a_counter() -> None:
    web = Timeline(watch(rules=[{"metric": "restarts_total", "above": 0.5, "rate": True}]))
    for second, value in [(0, 1000), (10, 1001), (20, 1011)]:
        web.metric(second, "restarts_total", value)
    (opened,) = web.incidents
    assert opened.evidence[0].observed == pytest.approx(1.0)


def serve(web: Timeline, second: float, good: float, bad: float | None) -> None:
    readings = [Reading("http_requests_total", good, {"status": "200"})]
    if bad is not None:
        readings.append(Reading("http_requests_total", bad, {"status": "503"}))
    web.metrics(second, *readings)


def test_failing_requests_beyond_a_fifth_are_an_incident_that_ends_when_they_stop() -> None:
    web = Timeline(watch(ratios=[RATIO]))
    good, bad = 1_000.0, 5.0
    for second in range(0, 20, 2):
        serve(web, second, good := good + 20, bad)
    assert web.incidents == []
    for second in range(20, 30, 2):
        serve(web, second, good := good + 5, bad := bad + 15)
    assert [incident.pattern for incident in web.incidents][:1] == ["error-ratio"]
    for second in range(30, 60, 2):
        serve(web, second, good := good + 20, bad)
    assert web.transitions[-1] == "resolved"


def test_the_first_failure_ever_counts_though_its_counter_was_never_seen_at_zero() -> None:
    web = Timeline(watch(ratios=[RATIO]))
    serve(web, 0, 1_000, None)
    serve(web, 2, 1_002, 18)
    assert [incident.pattern for incident in web.incidents] == ["error-ratio"]


def test_counters_found_at_the_start_say_nothing_of_the_past() -> None:
    web = Timeline(watch(ratios=[RATIO]))
    serve(web, 0, 1_000, 5_000)
    assert web.incidents == []


def test_a_restarted_counter_begins_at_zero() -> None:
    web = Timeline(watch(ratios=[RATIO]))
    serve(web, 0, 10_000, 9_000)
    serve(web, 2, 10_020, 9_000)
    serve(web, 4, 15, 0)
    serve(web, 6, 30, 1)
    assert web.incidents == []


def test_too_few_requests_say_nothing() -> None:
    web = Timeline(watch(ratios=[RATIO]))
    for second in range(0, 40, 10):
        serve(web, second, 0, second / 2)
    assert web.incidents == []


def test_a_reading_far_outside_the_usual_range_is_one_anomaly_and_no_incident() -> None:
    noise = random.Random(7)
    web = Timeline()
    for second in range(300):
        web.metric(second, "queue_depth", noise.gauss(50, 3))
    by_chance = len(web.anomalies)
    assert by_chance <= 1
    for second in range(300, 310):
        web.metric(second, "queue_depth", 400)
    (anomaly,) = web.anomalies[by_chance:]
    assert anomaly.score > 6
    assert anomaly.low < 50 < anomaly.high < 400
    assert web.incidents == []


def test_half_a_minute_of_bursts_of_traffic_is_no_incident() -> None:
    """Ten times the requests, slower answers, a busy process; nothing fails."""
    noise = random.Random(3)
    web = Timeline(watch(ratios=[RATIO], rules=[{"metric": "cpu_percent", "above": 90, "for_s": 30}]))
    served = 0.0
    for second in range(400):
        burst = 200 <= second < 230
        served += noise.uniform(250, 350) if burst else noise.uniform(20, 40)
        web.metrics(
            second,
            Reading("http_requests_total", served, {"status": "200"}),
            Reading("cpu_percent", noise.uniform(92, 99) if burst else noise.uniform(10, 30)),
            Reading("http_requests_in_flight", noise.uniform(50, 90) if burst else noise.uniform(0, 5)),
        )
        web.check(second, "ok", latency_ms=900 if burst else 20)
    assert web.incidents == []
    assert web.anomalies


def test_late_and_senseless_readings_are_left_out() -> None:
    web = Timeline(watch(rules=[{"metric": "jobs", "above": 5}]))
    web.metric(0, "jobs", float("nan"))
    web.metric(1, "jobs", float("inf"))
    web.metric(2, "jobs", 1e300)
    assert web.incidents == []


def test_a_component_tells_few_anomalies_a_minute_however_many_series_go_astray() -> None:
    noise = random.Random(11)
    web = Timeline()
    for second in range(200):
        web.metrics(second, *(Reading(f"level_{i}", noise.gauss(50, 3)) for i in range(100)))
    before = len(web.anomalies)
    web.metrics(300, *(Reading(f"level_{i}", 5_000.0) for i in range(100)))
    assert 20 <= len(web.anomalies) - before <= 30
