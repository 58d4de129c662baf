"""What Prometheus writes becomes readings of components, and every sample left out has its reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ingest.errors import MalformedError, ReportError, TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.ingest.prompb import MAX_SERIES, RawSeries, read_v1, read_v2
from services.gateway.domain.ingest.remote_write import (
    BATCH_BYTES,
    BATCH_READINGS,
    FUTURE_MS,
    MAX_SAMPLES,
    OLD_MS,
    LeftOut,
    Reading,
    Written,
    written,
)
from services.gateway.domain.ingest.seen import SeenSeries
from tests.unit.gateway.wire import STALE, request_v1, request_v2, series_v1

NOW = 1_800_000_000_000
UP = {"__name__": "up", "job": "shop", "instance": "a:80"}


def take(series: Sequence[RawSeries], seen: SeenSeries | None = None) -> Written:
    return written(series, ComponentRule(), seen or SeenSeries(), NOW)


def readings(taken: Written) -> list[Reading]:
    return [reading for batch in taken.batches for reading in batch.readings]


def store(taken: Written, seen: SeenSeries) -> None:
    for batch in taken.batches:
        for series, at_ms in batch.marks.items():
            seen.note(series, at_ms)


# ---- reading


@given(st.binary(max_size=400), st.sampled_from([read_v1, read_v2]))
def test_any_bytes_are_series_or_a_declared_error(body: bytes, read: object) -> None:
    with suppress(ReportError):
        take(list(read(body)))  # type: ignore[operator]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
LABELS = st.dictionaries(TEXT, TEXT, max_size=5)
SAMPLES = st.lists(st.tuples(st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)), max_size=4)
HISTOGRAMS = st.lists(
    st.tuples(st.integers(1, 2**53), st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)), max_size=2
)


@given(st.lists(st.tuples(LABELS, SAMPLES, HISTOGRAMS), max_size=4))
def test_both_versions_say_the_same(series: list[tuple[dict[str, str], list, list]]) -> None:
    one = list(read_v1(request_v1(*(series_v1(*each) for each in series))))
    two = list(read_v2(request_v2(*series)))
    assert one == two
    assert [dict(each.labels) for each in one] == [labels for labels, _, _ in series]
    assert [list(each.samples) for each in one] == [samples for _, samples, _ in series]
    assert [list(each.histograms) for each in one] == [[(float(c), s, t) for c, s, t in hs] for _, _, hs in series]


@given(st.binary(max_size=60))
def test_a_cut_request_is_refused_or_a_part_of_it(tail: bytes) -> None:
    whole = request_v2((UP, [(1.0, NOW)], []))
    for body in (whole[: len(tail)], whole + tail):
        try:
            take(list(read_v2(body)))
        except ReportError:
            continue


def test_one_version_read_as_the_other_is_empty_and_not_wrong() -> None:
    assert list(read_v1(request_v2((UP, [(1.0, NOW)], [])))) == []


def test_references_to_no_symbols_spoil_only_their_series() -> None:
    good = request_v2((UP, [(1.0, NOW)], []))
    bad = b"\x2a" + bytes([4 + 2]) + b"\x0a\x02\x63\x63" + b"\x12\x00"
    taken = take(list(read_v2(good + bad)))
    assert (len(readings(taken)), taken.left_out) == (1, {LeftOut.BAD_LABELS: 1})


def test_counts_are_bounded_before_series_are_unfolded() -> None:
    with pytest.raises(TooLargeError, match="series"):
        list(read_v1(b"\x0a\x00" * (MAX_SERIES + 1)))
    with pytest.raises(TooLargeError, match="samples"):
        take([RawSeries([("__name__", "up")], [(1.0, NOW)] * (MAX_SAMPLES + 1))])


def test_text_is_no_protobuf() -> None:
    with pytest.raises(MalformedError):
        list(read_v1(b"hello, this is text"))


# ---- what is taken


def test_a_sample_becomes_a_reading_of_its_component() -> None:
    taken = take([RawSeries(list(UP.items()), [(1.0, NOW)])])
    (batch,) = taken.batches
    assert batch.component == "shop"
    assert batch.readings == [Reading("up", 1.0, {"job": "shop", "instance": "a:80"}, NOW)]
    assert (taken.samples, taken.refused) == (1, 0)


def test_a_native_histogram_is_its_count_and_its_sum() -> None:
    taken = take([RawSeries([("__name__", "latency"), ("job", "shop")], (), [(7.0, 3.5, NOW), (0.0, STALE, NOW + 1)])])
    assert [(each.name, each.value) for each in readings(taken)] == [("latency_count", 7.0), ("latency_sum", 3.5)]
    assert (taken.samples, taken.histograms, taken.left_out) == (0, 2, {LeftOut.STALE: 1})


def test_the_mark_of_an_ended_series_is_no_reading_but_other_nans_are_values() -> None:
    taken = take([RawSeries([("__name__", "up")], [(1.0, NOW - 2), (float("nan"), NOW - 1), (STALE, NOW)])])
    assert [each.at_ms for each in readings(taken)] == [NOW - 2, NOW - 1]
    assert (taken.refused, taken.samples) == (0, 3)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([("job", "a")], LeftOut.NO_NAME),
        ([("__name__", "")], LeftOut.NO_NAME),
        ([("__name__", "up"), ("a", "1"), ("a", "2")], LeftOut.BAD_LABELS),
        ([("__name__", "up"), ("", "1")], LeftOut.BAD_LABELS),
        ([("__name__", "u" * 191)], LeftOut.LABEL_TOO_LONG),
        ([("__name__", "up"), ("a", "x" * 2_049)], LeftOut.LABEL_TOO_LONG),
        ([("__name__", "up"), *((f"l{n}", "x") for n in range(64))], LeftOut.TOO_MANY_LABELS),
    ],
)
def test_labels_that_cannot_be_used_are_refused_alone(labels: list[tuple[str, str]], reason: LeftOut) -> None:
    taken = take([RawSeries(labels, [(1.0, NOW)]), RawSeries(list(UP.items()), [(1.0, NOW)])])
    assert taken.left_out == {reason: 1}
    assert len(readings(taken)) == 1
    assert reason.value in taken.explain()


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([NOW + FUTURE_MS + 1], LeftOut.IN_THE_FUTURE),
        ([NOW - OLD_MS - 1], LeftOut.TOO_OLD),
        ([NOW, NOW - 1], LeftOut.OUT_OF_ORDER),
    ],
)
def test_times_that_cannot_be_used_are_refused(times: list[int], reason: LeftOut) -> None:
    taken = take([RawSeries(list(UP.items()), [(1.0, at_ms) for at_ms in times])])
    assert (taken.left_out, taken.samples) == ({reason: 1}, len(times) - 1)


# ---- once


def test_two_replicas_of_a_sender_count_once() -> None:
    def sent(replica: str) -> RawSeries:
        return RawSeries([*UP.items(), ("prometheus_replica", replica)], [(1.0, NOW)])

    taken = take([sent("a"), sent("b")])
    assert (len(readings(taken)), taken.left_out, taken.samples) == (1, {LeftOut.REPEATED: 1}, 2)


def test_what_was_stored_is_not_taken_again_and_what_was_not_is() -> None:
    seen, series = SeenSeries(), [RawSeries(list(UP.items()), [(1.0, NOW - 5), (2.0, NOW)])]
    first = take(series, seen)
    assert readings(take(series, seen)) == readings(first)
    store(first, seen)
    again = take(series, seen)
    assert (again.batches, again.refused, again.samples) == ([], 0, 2)
    later = take([RawSeries(list(UP.items()), [(2.0, NOW), (3.0, NOW + 5)])], seen)
    assert [each.value for each in readings(later)] == [3.0]


def test_the_same_readings_have_the_same_id_and_others_another() -> None:
    def identity(value: float, labels: dict[str, str]) -> object:
        return take([RawSeries(list(labels.items()), [(value, NOW)])]).batches[0].identity

    assert identity(1.0, UP) == identity(1.0, dict(reversed(UP.items())))
    assert len({identity(1.0, UP), identity(2.0, UP), identity(1.0, {**UP, "zone": "eu"})}) == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.data())
def test_each_time_of_a_series_is_read_at_most_once_in_order(sent: list[tuple[str, int]], data: st.DataObject) -> None:
    """However requests repeat and whichever are lost."""
    seen = SeenSeries()
    stored: dict[str, list[int]] = {}
    for name, at in sent:
        taken = take([RawSeries([("__name__", name)], [(1.0, NOW + at)])], seen)
        if data.draw(st.booleans()):
            store(taken, seen)
            for each in readings(taken):
                stored.setdefault(each.name, []).append(each.at_ms)
    for times in stored.values():
        assert times == sorted(set(times))


def test_memory_of_series_is_bounded_and_forgets_the_oldest() -> None:
    seen = SeenSeries(most=10)
    for series in range(100):
        seen.note(series, series)
        assert len(seen) <= 11
    assert (seen.newest(99), seen.newest(0)) == (99, None)


# ---- batches


def test_batches_are_of_one_component_and_fit_a_message() -> None:
    long = "x" * 1_000
    series = [RawSeries([("__name__", f"m{n}"), ("job", f"j{n % 2}"), ("l", long)], [(1.0, NOW)]) for n in range(3_000)]
    series += [RawSeries([("__name__", f"n{n}"), ("job", "small")], [(1.0, NOW)]) for n in range(BATCH_READINGS + 1)]
    taken = take(series)
    assert len(readings(taken)) == len(series)
    for batch in taken.batches:
        body = [{"name": each.name, "value": each.value, "labels": dict(each.labels)} for each in batch.readings]
        assert len(batch.readings) <= BATCH_READINGS
        assert len(json.dumps(body)) <= BATCH_BYTES
    small = [batch for batch in taken.batches if batch.component == "small"]
    assert [(len(batch.readings), batch.turn) for batch in small] == [(BATCH_READINGS, 0), (1, 1)]
