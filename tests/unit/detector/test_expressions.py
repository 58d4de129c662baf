"""Rules that are expressions over one component's series."""

from __future__ import annotations

import pytest

from services.detector.domain.signals import Severity
from tests.unit.detector.lines import Reading, Timeline, watch


def rule(expr: str, **more: object) -> Timeline:
    return Timeline(watch(rules=[{"id": "trouble", "expr": expr, "severity": "critical", **more}]))


def test_arithmetic_of_two_metrics_with_a_guard() -> None:
    web = rule("used_bytes / size_bytes * 100 > 90 and size_bytes > 0")
    web.metrics(0, Reading("used_bytes", 95, {"disk": "a"}), Reading("size_bytes", 100, {"disk": "a"}))
    (opened,) = web.incidents
    assert (opened.pattern, opened.severity) == ("trouble", Severity.CRITICAL)
    assert opened.labels["disk"] == "a"
    assert opened.evidence[0].observed == pytest.approx(95.0)
    for second in (1, 2):
        web.metrics(second, Reading("used_bytes", 50, {"disk": "a"}), Reading("size_bytes", 100, {"disk": "a"}))
    assert web.transitions == ["opened", "resolved"]


def test_each_element_is_a_trouble_of_its_own() -> None:
    web = rule("queue > 10")
    web.metrics(0, *(Reading("queue", depth, {"name": name}) for name, depth in [("a", 11), ("b", 3), ("c", 12)]))
    assert sorted(incident.labels["name"] for incident in web.incidents) == ["a", "c"]


def test_for_must_be_held_without_a_pause() -> None:
    web = rule("queue > 10", for_s=60)
    for second in range(0, 60, 10):
        web.metric(second, "queue", 20)
    web.metric(60, "queue", 1)
    for second in range(70, 130, 10):
        web.metric(second, "queue", 20)
    assert web.incidents == []
    web.metric(130, "queue", 20)
    (opened,) = web.incidents
    assert opened.since is not None
    assert opened.at - opened.since == 60


def test_rates_and_increases_survive_a_restarted_counter() -> None:
    web = rule("increase(failures_total[1m]) > 5")
    for second, value in [(0, 1_000), (15, 1_001), (30, 2), (45, 4)]:
        web.metric(second, "failures_total", value)
    assert web.incidents == [], "1 + 2 + 2 is not above 5"
    web.metric(50, "failures_total", 6)
    assert len(web.incidents) == 1


def test_a_ratio_of_summed_rates() -> None:
    web = rule('sum(rate(requests_total{code=~"5.."}[1m])) by (svc) / sum(rate(requests_total[1m])) by (svc) > 0.5')
    for second in range(0, 60, 5):
        web.metrics(
            second,
            Reading("requests_total", second * 10, {"code": "200", "svc": "x"}),
            Reading("requests_total", second * 30, {"code": "503", "svc": "x"}),
            Reading("requests_total", second * 10, {"code": "200", "svc": "y"}),
            Reading("requests_total", second, {"code": "500", "svc": "y"}),
        )
    assert {incident.labels.get("svc") for incident in web.incidents} == {"x"}
    assert web.incidents[0].evidence[0].observed == pytest.approx(0.75, abs=0.01)


def test_a_quantile_of_a_histogram() -> None:
    web = rule("histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[1m]))) > 0.5")
    for second in range(0, 60, 5):
        web.metrics(
            second,
            *(
                Reading("took_seconds_bucket", second * n, {"le": le})
                for le, n in [("0.5", 1), ("1", 10), ("+Inf", 10)]
            ),
        )
    assert web.incidents
    observed = web.incidents[0].evidence[0].observed
    assert isinstance(observed, float)
    assert 0.5 < observed <= 1.0


@pytest.mark.parametrize(
    ("expr", "fires"),
    [
        ("max_over_time(level[1m]) > 90", True),
        ("avg_over_time(level[1m]) > 90", False),
        ("changes(level[1m]) >= 2", True),
        ("deriv(level[1m]) > 10", False),
        ("delta(level[1m]) == 0", True),
        ("level offset 20s > 90", True),
        ("time() - level > 3600", True),
        ("clamp_max(level, 5) == 5", True),
        ("count(level) == 1", True),
        ("level == 10 or vector(0) > 1", True),
        ("level unless level > 5", False),
        ("abs(-level) > bool 100", True),
        ("1 < level < 5", False),
    ],
)
def test_functions_over_a_range(expr: str, fires: bool) -> None:
    web = rule(expr)
    for second, value in [(0, 10), (10, 10), (20, 100), (30, 10), (40, 10)]:
        web.metric(second, "level", value)
    assert bool(web.incidents) is fires


def test_a_series_that_vanishes_is_no_trouble_any_more() -> None:
    web = rule("queue > 10")
    web.metric(0, "queue", 20)
    web.metric(0, "other", 1)
    for second in range(10, 330, 10):
        web.metric(second, "other", 1)
    assert web.transitions[-1] == "resolved"


def test_a_summary_says_what_and_how_much() -> None:
    web = rule("queue > 10", summary="Queue {{ $labels.name }} holds {{ $value }} jobs")
    web.metrics(0, Reading("queue", 25, {"name": "mail"}))
    assert "Queue mail holds 25 jobs" in web.incidents[0].summary


def test_labels_choose_series_and_hysteresis_keeps_the_alarm() -> None:
    disks = Timeline(
        watch(rules=[{"metric": "disk_percent", "labels": {"path": "/(data|var)"}, "above": 90, "clear_below": 80}])
    )
    for second, value in [(0, 95), (1, 85), (2, 85), (3, 92), (4, 85)]:
        disks.metrics(
            second, Reading("disk_percent", value, {"path": "/data"}), Reading("disk_percent", 99, {"path": "/boot"})
        )
    assert disks.transitions[0] == "opened"
    assert "resolved" not in disks.transitions
    for second in (5, 6):
        disks.metric(second, "disk_percent", 80, path="/data")
    assert disks.transitions[-1] == "resolved"
    assert len({incident.incident_id for incident in disks.incidents}) == 1
