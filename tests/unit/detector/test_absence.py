"""Data that stops: noticed by time alone, and never because Homeostat itself was away."""

from __future__ import annotations

from services.detector.domain.fold import TICK_PROBE, PartitionState
from services.detector.domain.signals import CheckSeen, Result, Severity
from tests.unit.detector.lines import T0, Timeline, watch

RULES = {"rules": [{"metric": "jobs_pending", "above": 1_000}]}


def tick(timeline: Timeline, second: float) -> None:
    seen = CheckSeen("web", TICK_PROBE, "custom", Result.OK, T0 + second)
    timeline.told += timeline.fold.check(seen, T0 + second)


def run(timeline: Timeline, seconds: range, *metrics: str, ticks: bool = True) -> None:
    for second in seconds:
        if ticks and second % 10 == 0:
            tick(timeline, second)
        if second % 5 == 0:
            for name in metrics:
                timeline.metric(second, name, 1)


def test_a_component_whose_metrics_stop_is_told_and_resolved_when_they_are_back() -> None:
    timeline = Timeline(watch(**RULES))
    run(timeline, range(120), "jobs_pending", "up")
    run(timeline, range(120, 170))
    assert timeline.incidents == []
    run(timeline, range(170, 300))
    opened = timeline.incidents[0]
    assert opened.pattern == "metrics-absent"
    assert opened.since is not None
    assert opened.opened_at - opened.since > 60
    assert {incident.pattern for incident in timeline.incidents} == {"metrics-absent"}, "one trouble, not one a series"
    run(timeline, range(300, 330), "jobs_pending", "up")
    assert timeline.transitions[-1] == "resolved"


def test_one_metric_that_a_rule_needs_is_missed_while_others_come() -> None:
    timeline = Timeline(watch(**RULES))
    run(timeline, range(120), "jobs_pending", "up")
    run(timeline, range(120, 300), "up")
    assert {incident.pattern for incident in timeline.incidents} == {"series-absent"}
    assert "jobs_pending" in timeline.incidents[0].summary


def test_series_that_nobody_asked_for_may_come_and_go() -> None:
    timeline = Timeline(watch(**RULES))
    run(timeline, range(120), "jobs_pending", "pod_abc_level")
    run(timeline, range(120, 600), "jobs_pending")
    assert timeline.incidents == []


def test_what_a_pack_expects_within_a_time() -> None:
    expects = [{"component": "web", "metric": "backup_done", "within_s": 3_600, "severity": "critical"}]
    timeline = Timeline(watch(expects=expects))
    timeline.metric(0, "backup_done", 1)
    run(timeline, range(3_650), "up")
    (opened, *_) = timeline.incidents
    assert (opened.pattern, opened.severity) == ("series-absent", Severity.CRITICAL)


def test_a_pause_of_homeostat_itself_is_no_silence() -> None:
    timeline = Timeline(watch(**RULES))
    run(timeline, range(120), "jobs_pending")
    run(timeline, range(4_000, 4_050))
    assert timeline.incidents == [], "nobody watched in between: silence is counted anew"
    run(timeline, range(4_050, 4_200))
    assert timeline.incidents[0].pattern == "metrics-absent"


def test_without_ticks_nothing_is_judged_so_a_replay_says_nothing() -> None:
    timeline = Timeline(watch(**RULES))
    run(timeline, range(120), "jobs_pending")
    for second in range(120, 900, 5):
        timeline.metric(second, "other", 1, component="db")
    assert timeline.incidents == []


def test_a_restart_in_the_middle_changes_nothing() -> None:
    whole = Timeline(watch(**RULES))
    run(whole, range(150), "jobs_pending")
    restarted = PartitionState(watch(**RULES))
    restarted.restore(whole.fold.snapshot())
    resumed, before = Timeline(fold=restarted), len(whole.told)
    for timeline in (whole, resumed):
        run(timeline, range(150, 300))
    assert resumed.told == whole.told[before:]
    assert resumed.incidents


def test_a_component_in_no_pack_may_go() -> None:
    timeline = Timeline(watch(**RULES))
    for second in range(0, 120, 5):
        timeline.metric(second, "up", 1, component="stranger")
    run(timeline, range(120, 400))
    assert timeline.incidents == []


def test_a_probe_that_is_no_longer_run_is_missed() -> None:
    probes = [{"component": "web", "every_s": 5, "http": {"url": "http://127.0.0.1/"}}]
    watched = watch(probes=probes)
    (name,) = watched.probes
    timeline = Timeline(watched)
    for second in range(200):
        if second % 10 == 0:
            tick(timeline, second)
        if second % 5 == 0 and second < 100:
            seen = CheckSeen("web", name, "http", Result.OK, T0 + second)
            timeline.told += timeline.fold.check(seen, T0 + second)
    assert [incident.pattern for incident in timeline.incidents][:1] == ["probe-absent"]
