"""Whatever comes in, in whatever order: replay gives the same, and incidents keep their promises."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.domain.fold import TICK_PROBE, PartitionState, SnapshotError
from services.detector.domain.signals import CheckSeen, IncidentRevised, Result
from tests.unit.detector.lines import T0, Reading, Timeline, watch

SECTIONS = {
    "components": {"web": {"slo": {"availability": 0.9, "latency_p99_ms": 100, "window_scale": 0.01}}, "db": {}},
    "rules": [
        {"metric": "cpu_percent", "above": 90, "clear_below": 70, "for_s": 4},
        {"id": "busy", "expr": "cpu_percent > 80 and sum(rate(http_requests_total[1m])) > 2", "for_s": 2},
        {"id": "shrunk", "expr": "level < level offset 40s"},
    ],
    "expects": [{"component": "db", "metric": "level", "within_s": 30}],
    "maintenance": [{"component": "db", "when": "30 * * * * for 5m"}],
    "ratios": [{"component": "*", "window_s": 10, "min_events": 5}],
    "log_patterns": [{"id": "odd", "match": "odd", "burst": 3, "window_s": 8}],
}
COMPONENT = st.sampled_from(["web", "db", "stranger"])
RESULT = st.sampled_from(["ok", "ok", "slow", "error", "timeout", "refused", "exited", "stopped"])
STEP = st.one_of(
    st.tuples(st.just("check"), COMPONENT, RESULT, st.sampled_from(["http", "process"])),
    st.tuples(st.just("cpu"), COMPONENT, st.floats(0, 100), st.just("")),
    st.tuples(st.just("served"), COMPONENT, st.integers(0, 60), st.sampled_from(["200", "503"])),
    st.tuples(st.just("log"), COMPONENT, st.sampled_from(["odd", "OperationalError", "fine"]), st.just("")),
    st.tuples(st.just("external"), COMPONENT, st.booleans(), st.sampled_from(["a", "b"])),
    st.tuples(st.just("repair"), COMPONENT, st.just(""), st.just("")),
    st.tuples(st.just("tick"), COMPONENT, st.just(""), st.just("")),
    st.tuples(st.just("replicas"), COMPONENT, st.floats(0, 100), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("took"), COMPONENT, st.integers(0, 60), st.sampled_from(["0.1", "0.5"])),
)
STORY = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, 2.0, 40.0, 200.0]), STEP), max_size=60)


def play(timeline: Timeline, story: list[tuple[float, tuple[str, str, object, str]]], second: float) -> float:
    for pause, (kind, component, what, which) in story:
        second += pause
        if kind == "check":
            timeline.check(second, str(what), component=component, kind=which)
        elif kind == "cpu":
            timeline.metric(second, "cpu_percent", float(what), component)  # type: ignore[arg-type]
        elif kind == "served":
            reading = Reading("http_requests_total", float(what), {"status": which})  # type: ignore[arg-type]
            timeline.metrics(second, reading, Reading("level", float(what)), component=component)  # type: ignore[arg-type]
        elif kind == "log":
            timeline.log(second, str(what), component=component)
        elif kind == "external":
            timeline.external(second, bool(what), which, component)
        elif kind == "tick":
            seen = CheckSeen(component, TICK_PROBE, "custom", Result.OK, T0 + second)
            timeline.told += timeline.fold.check(seen, T0 + second)
        elif kind == "replicas":
            levels = {name: float(what) if name == which else 20.0 for name in ("a", "b", "c", "d")}  # type: ignore[arg-type]
            readings = [Reading("queue_load", level, {"pod": name}) for name, level in levels.items()]
            timeline.metrics(second, *readings, component=component)
        elif kind == "took":
            bounds = [
                Reading("http_request_duration_seconds_bucket", float(what), {"le": le}) for le in (which, "+Inf")
            ]  # type: ignore[arg-type]
            timeline.metrics(second, *bounds, component=component)
        else:
            timeline.told += timeline.fold.repair(component, 1_700_000_000.0 + second)
    return second


@given(STORY, STORY)
@settings(max_examples=150, deadline=None)
def test_a_restart_in_the_middle_changes_nothing(first, second) -> None:  # type: ignore[no-untyped-def]
    whole, restarted = Timeline(watch(**SECTIONS)), PartitionState(watch(**SECTIONS))
    now = play(whole, first, 0.0)
    restarted.restore(whole.fold.snapshot())
    resumed = Timeline(fold=restarted)
    before = len(whole.told)
    play(whole, second, now)
    play(resumed, second, now)
    assert resumed.told == whole.told[before:]
    assert resumed.fold.snapshot() == whole.fold.snapshot()


@given(STORY)
@settings(max_examples=150, deadline=None)
def test_revisions_are_told_once_each_and_in_order_and_a_trouble_is_open_once(story) -> None:  # type: ignore[no-untyped-def]
    timeline = Timeline(watch(**SECTIONS))
    play(timeline, story, 0.0)
    revisions: dict[object, list[IncidentRevised]] = defaultdict(list)
    open_by_fingerprint: dict[str, object] = {}
    for told in timeline.incidents:
        revisions[told.incident_id].append(told)
        if told.resolved_at is None:
            assert open_by_fingerprint.setdefault(told.fingerprint, told.incident_id) == told.incident_id
        else:
            assert open_by_fingerprint.pop(told.fingerprint) == told.incident_id
    for told_of_one in revisions.values():
        assert [told.revision for told in told_of_one] == list(range(1, len(told_of_one) + 1))
        assert told_of_one[0].transition == "opened"
        occurrences = [told.occurrences for told in told_of_one]
        assert occurrences == sorted(occurrences)


@given(STORY)
@settings(max_examples=50, deadline=None)
def test_a_pack_change_keeps_what_is_known(story) -> None:  # type: ignore[no-untyped-def]
    same, changed = Timeline(watch(**SECTIONS)), Timeline(watch(**SECTIONS))
    for timeline in (same, changed):
        play(timeline, story, 0.0)
    changed.fold.configure(watch(**SECTIONS, probes=[{"component": "db", "tcp": {"port": 1}, "fail_after": 5}]))
    assert changed.fold.snapshot() == same.fold.snapshot()


def test_what_is_no_snapshot_is_refused() -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        PartitionState(watch()).restore(b"{}")


@given(STORY)
@settings(max_examples=100, deadline=None)
def test_flapping_never_loses_a_resolution(story) -> None:  # type: ignore[no-untyped-def]
    """However it went to and fro: when all is well for long enough, every incident of our own seeing is resolved."""
    timeline = Timeline(watch(**SECTIONS))
    now = play(timeline, story, 0.0)
    for second in range(0, 4_200, 20):
        at = now + second
        for component in ("web", "db", "stranger"):
            for kind in ("http", "process"):
                timeline.check(at, "ok", component=component, kind=kind)
            readings = [Reading("queue_load", 20.0, {"pod": name}) for name in ("a", "b", "c", "d")]
            readings += [Reading("cpu_percent", 5.0), Reading("level", 1_000.0 + second)]
            timeline.metrics(at, *readings, component=component)
        play(timeline, [(0.0, ("tick", "web", "", ""))], at)
    newest = {told.incident_id: told for told in timeline.incidents}
    assert [told for told in newest.values() if told.resolved_at is None and told.method != "external"] == []
