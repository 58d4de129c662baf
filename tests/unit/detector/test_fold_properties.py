"""Whatever comes in, in whatever order: replay gives the same, and incidents keep their promises."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.detector.domain.fold import PartitionState, SnapshotError
from services.detector.domain.signals import IncidentRevised
from tests.unit.detector.lines import Reading, Timeline, watch

SECTIONS = {
    "rules": [{"metric": "cpu_percent", "above": 90, "for_s": 4}],
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
