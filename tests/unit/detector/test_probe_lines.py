"""From bytes to log lines: tracebacks are one message, and no oddity of a file is ever more than a line."""

from __future__ import annotations

import doctest
import importlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.clients.docker_logs import Demultiplexer, since, stamped
from services.detector.clients.journal import command, parse_entry
from services.detector.clients.lines import MAX_JOINED_LINES, MAX_LINE_BYTES, Joiner, parse_line
from shared.contracts.ingest import LogBatch, LogLine
from shared.packs.model import JournalProbe

PYTHON = """\
before
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
    raise ValueError("no")
ValueError: no
after
"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: no
\tat a.B.c(B.java:1)
Caused by: java.io.IOException: gone
\t... 3 more
after (done)
"""
GO = """\
panic: runtime error: index out of range

goroutine 1 [running]:
main.f(...)
\t/src/main.go:12
main.main()
\t/src/main.go:20 +0x1d
exit status 2
after
"""


def joined(text: str) -> list[str]:
    joiner = Joiner()
    lines = [line for number, raw in enumerate(text.encode().split(b"\n")) for line in joiner.add(raw, number)]
    return [line.message for line in [*lines, *joiner.flush()]]


def test_a_python_traceback_with_its_cause_is_one_message() -> None:
    first, told, last = joined(PYTHON)
    assert (first, last) == ("before", "after")
    assert told.startswith("Traceback")
    assert told.endswith("ValueError: no")
    assert "KeyError: 'x'" in told


def test_two_tracebacks_in_a_row_are_two_messages() -> None:
    one = "Traceback (most recent call last):\n  File x\nValueError: 1\n"
    assert len(joined(one + one)) == 2


def test_traces_of_java_and_go_are_one_message_each() -> None:
    assert [len(joined(text)) for text in (JAVA, GO)] == [2, 2]
    assert joined(JAVA)[0].endswith("3 more")
    assert joined(GO)[0].endswith("exit status 2")


def test_ordinary_lines_pass_at_once_and_json_is_never_swallowed() -> None:
    joiner = Joiner()
    assert [line.message for line in joiner.add(b"  indented", 0)] == ["indented"]
    assert joiner.add(b"Traceback (most recent call last):", 1) == []
    assert joiner.held_from == 1
    assert [line.message for line in joiner.add(b'{"message": "hi"}', 2)] == [
        "Traceback (most recent call last):",
        "hi",
    ]
    assert joiner.held_from is None


def test_an_endless_traceback_is_told_in_parts_and_a_huge_one_keeps_its_end() -> None:
    frames = "\n".join(f"  File {i}" for i in range(3 * MAX_JOINED_LINES))
    assert len(joined(f"Traceback (most recent call last):\n{frames}")) > 1
    wide = "\n".join("  " + "x" * 4_000 for _ in range(10))
    (told,) = joined(f"Traceback (most recent call last):\n{wide}\nValueError: the end")
    assert len(told) <= MAX_LINE_BYTES
    assert told.endswith("ValueError: the end")


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(PYTHON.encode().split(b"\n"))), max_size=40))
def test_whatever_a_file_holds_every_line_can_be_published(raws: list[bytes]) -> None:
    joiner = Joiner()
    lines = [line for number, raw in enumerate(raws) for line in joiner.add(raw.replace(b"\n", b""), number)]
    batch = LogBatch(at=datetime.now(UTC), component="web", lines=(*lines, *joiner.flush()))
    text = batch.model_dump_json()
    assert "\\u0000" not in text
    assert LogBatch.model_validate_json(text) == batch


@pytest.mark.parametrize(
    "raw",
    [
        b'{"message": "\\ud800 half", "level": "error"}',
        b'{"message": "nul \\u0000", "n": NaN, "m": Infinity}',
        b"[" * 5_000,
        b'{"a":' * 3_000,
        b"\xff\xfe not UTF-8",
        b"\x00" * 100 + b"after a hole",
    ],
)
def test_odd_lines(raw: bytes) -> None:
    line = parse_line(raw)
    assert LogLine.model_validate_json(line.model_dump_json()) == line
    assert "\x00" not in line.message


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4) + data


@given(st.integers(1, 40), st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=20))
def test_streams_are_taken_apart_however_they_arrive(size: int, parts: list[tuple[int, bytes]]) -> None:
    sent = b"".join(frame(stream, data) for stream, data in parts)
    split = Demultiplexer(tty=False)
    lines = [line for start in range(0, len(sent), size) for line in split.feed(sent[start : start + size])]
    for number, name in ((1, "stdout"), (2, "stderr")):
        whole = b"".join(data for stream, data in parts if stream == number).split(b"\n")[:-1]
        assert [line for stream, line in lines if stream == name] == whole


def test_what_are_no_frames_is_refused_and_a_terminal_has_none() -> None:
    with pytest.raises(ValueError, match="frames"):
        Demultiplexer(tty=False).feed(b"plain text\n")
    assert Demultiplexer(tty=True).feed(b"plain text\r\nmore") == [("stdout", b"plain text\r")]


def test_the_engine_s_times() -> None:
    assert stamped(b"2026-01-02T03:04:05.000000001Z hello you") == ("2026-01-02T03:04:05.000000001Z", b"hello you")
    assert stamped(b"hello you") == ("", b"hello you")
    assert since("nonsense") == "0"


def entry(**fields: object) -> bytes:
    return json.dumps({"__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1767323045000000"} | fields).encode()


def test_entries_of_a_journal() -> None:
    cursor, line = parse_entry(entry(MESSAGE="disk is slow", PRIORITY="4", _PID="7", SYSLOG_IDENTIFIER="web"))
    assert cursor == "s=1"
    assert line is not None
    assert (line.level, line.message, line.fields) == ("warning", "disk is slow", {"pid": "7", "identifier": "web"})
    assert line.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert parse_entry(entry(MESSAGE=[104, 105, 255]))[1].message == "hi\ufffd"  # type: ignore[union-attr]
    assert parse_entry(entry(MESSAGE='{"level": "error", "msg": "no"}'))[1].level == "error"  # type: ignore[union-attr]
    assert parse_entry(entry(MESSAGE=None))[1] is None
    for wrong in (b"no json", b"{}", b"[]", b"7", entry(__CURSOR=5)):
        with pytest.raises(ValueError):  # noqa: PT011 - any that says so
            parse_entry(wrong)


def test_journalctl_goes_on_after_the_last_entry_or_begins_now() -> None:
    journal = JournalProbe(unit="web.service", directory="/var/log/journal")
    assert "--lines=0" in command(journal, "")
    assert {"--after-cursor=s=1", "--unit=web.service", "--directory=/var/log/journal"} <= set(command(journal, "s=1"))


@pytest.mark.parametrize("module", ["docker_logs", "kernel", "lines", "sql"])
def test_examples(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"services.detector.clients.{module}"))
    assert tried > 0
    assert failed == 0
