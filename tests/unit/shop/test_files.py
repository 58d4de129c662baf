"""Files that survive interruption: whole lines, read from the end, of bounded size."""

import json
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from examples.shop.files import (
    BoundedLines,
    append_line,
    older,
    parse_timestamp,
    read_newest_first,
    timestamp,
    write_atomic,
)

RECORDS = st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=200), max_size=3), max_size=60)


@given(records=RECORDS)
def test_records_come_back_newest_first(records: list[dict[str, object]]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lines.jsonl"
        for record in records:
            append_line(path, record)
        assert list(read_newest_first(path)) == records[::-1]


def test_lines_longer_than_a_block_come_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    records: list[dict[str, object]] = [{"text": letter * 100_000} for letter in "abc"]
    for record in records:
        append_line(path, record)
    assert list(read_newest_first(path)) == records[::-1]


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"number":1}\n{"number":2}\n{"num')
    assert [record["number"] for record in read_newest_first(path)] == [2, 1]


def test_a_bounded_file_keeps_the_newest_and_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    lines = BoundedLines(path, max_bytes=1000)
    for number in range(1000):
        lines.append({"number": number})
    lines.close()
    kept = [record["number"] for record in read_newest_first(path)]
    assert kept == list(range(999, 999 - len(kept), -1))
    assert len(kept) > 50
    assert path.stat().st_size + older(path).stat().st_size < 2100


def test_a_file_is_replaced_whole_and_keeps_its_secrecy(tmp_path: Path) -> None:
    path = tmp_path / "config" / "key"
    write_atomic(path, b"old", mode=0o600)
    write_atomic(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


@given(at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), offset_h=st.integers(-12, 12))  # noqa: DTZ001
def test_timestamps_are_utc_of_fixed_width(at: datetime, offset_h: int) -> None:
    there = at.replace(tzinfo=timezone(timedelta(hours=offset_h)))
    text = timestamp(there)
    assert len(text) == len("2025-01-01T00:00:00.000Z")
    assert timedelta(0) <= there - parse_timestamp(text) < timedelta(milliseconds=1)
    assert parse_timestamp(text).tzinfo == UTC


def test_records_are_plain_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "starts.jsonl"
    append_line(path, {"component": "orders", "pid": 7})
    assert json.loads(path.read_text()) == {"component": "orders", "pid": 7}
