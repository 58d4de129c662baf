"""Error budgets (multi-window burn rates), with windows a hundredth of the real ones: an hour is 36 seconds."""

from __future__ import annotations

import pytest

from services.detector.domain.fold import PartitionState
from services.detector.domain.signals import Severity
from tests.unit.detector.lines import Reading, Timeline, watch

SLO = {"availability": 0.99, "latency_p99_ms": 400, "window_scale": 0.01, "min_events": 10}


def web() -> Timeline:
    return Timeline(watch(components={"web": {"slo": SLO}, "db": {}}))


class Traffic:
    """Counters that grow every second."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline, self.good, self.bad, self.slow = timeline, 0.0, 0.0, 0.0

    def serve(self, seconds: range, *, good: float = 100, bad: float = 0, slow: float = 0) -> None:
        for second in seconds:
            self.good, self.bad, self.slow = self.good + good, self.bad + bad, self.slow + slow
            self.timeline.metrics(
                second,
                Reading("http_requests_total", self.good, {"status": "200"}),
                Reading("http_requests_total", self.bad, {"status": "503"}),
                Reading("http_request_duration_seconds_bucket", self.good - self.slow, {"le": "0.25"}),
                Reading("http_request_duration_seconds_bucket", self.good - self.slow, {"le": "0.4"}),
                Reading("http_request_duration_seconds_bucket", self.good, {"le": "+Inf"}),
            )


def test_a_fast_burn_is_critical_and_ends_when_the_failures_do() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(60))
    assert timeline.incidents == []
    traffic.serve(range(60, 80), bad=50)
    (opened, *_) = timeline.incidents
    assert (opened.pattern, opened.severity) == ("slo-burn:availability", Severity.CRITICAL)
    assert "budget" in opened.summary
    assert opened.evidence[0].expected.startswith("at most")
    traffic.serve(range(80, 300))
    assert timeline.transitions[-1] == "resolved"


def test_a_slow_burn_is_a_warning() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(1_000))
    traffic.serve(range(1_000, 1_700), bad=4.2)
    assert [incident.severity for incident in timeline.incidents[:1]] == [Severity.WARNING]
    assert not any(incident.severity is Severity.CRITICAL for incident in timeline.incidents)


def test_slow_answers_spend_the_budget_of_latency() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(60))
    traffic.serve(range(60, 90), slow=50)
    assert {incident.pattern for incident in timeline.incidents} == {"slo-burn:latency"}


def test_few_requests_prove_nothing() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(0, 400, 8), good=2, bad=1)
    assert timeline.incidents == []


def test_an_hour_is_not_known_from_three_minutes() -> None:
    """What a short outage right after the start must not do: alarm for an hour."""
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(5))
    traffic.serve(range(5, 12), good=0, bad=100)
    assert timeline.incidents == []


def test_what_is_left_of_the_budget_is_told_with_health() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(40))
    assert timeline.healths[-1].budgets == {"availability": 1.0, "latency": 1.0}
    traffic.serve(range(40, 60), bad=1)
    left = timeline.healths[-1].budgets["availability"]
    assert left == pytest.approx(1 - 20 / (6_020 * 0.01), abs=0.03)


def test_a_restart_keeps_the_budget() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(60), bad=0.2)
    restarted = PartitionState(watch(components={"web": {"slo": SLO}, "db": {}}))
    restarted.restore(timeline.fold.snapshot())
    assert restarted.snapshot() == timeline.fold.snapshot()


def test_the_memory_of_an_objective_does_not_grow() -> None:
    timeline = web()
    traffic = Traffic(timeline)
    traffic.serve(range(400), bad=1)
    before = len(timeline.fold.snapshot())
    traffic.serve(range(400, 1_200), bad=1)
    assert len(timeline.fold.snapshot()) < before * 1.5
