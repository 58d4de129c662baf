"""From the bytes that a program writes to log lines: pure, so that every oddity can be told as a test."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.contracts.base import Scalar
from shared.contracts.ingest import LogLine

MAX_LINE_BYTES = 8_192
MAX_FIELDS = 20
MAX_JOINED_LINES = 200
"""A traceback longer than this is told in parts."""
_HEAD_BYTES = 2_048
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)\b", re.IGNORECASE)
_LEVEL_KEYS = ("level", "severity", "levelname", "lvl")
_MESSAGE_KEYS = ("message", "msg", "event")
_TIME_KEYS = ("ts", "timestamp", "time", "@timestamp", "at")
_ERROR_KEYS = ("error", "exception", "exc_info", "stack", "traceback")


def clean(text: str) -> str:
    """Without what no database or JSON text can hold: NUL (a hole left by truncation), halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def parse_line(raw: bytes) -> LogLine:
    """A JSON object with the usual names, or plain text whose level is guessed from the words used for levels."""
    text = clean(raw[:MAX_LINE_BYTES].decode("utf-8", errors="replace")).strip()
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return _from_json(found, text)
    level = _LEVEL.search(text[:200])
    return LogLine(level=level.group(1).lower() if level else "info", message=text)


def _from_json(found: dict[str, object], text: str) -> LogLine:
    message = next((str(found[key]) for key in _MESSAGE_KEYS if found.get(key)), text)
    problem = next((found[key] for key in _ERROR_KEYS if isinstance(found.get(key), str) and found[key]), None)
    if isinstance(problem, str):
        last = problem.strip().rpartition("\n")[2]
        if last not in message:
            message = f"{message}: {last}"
    level = next((str(found[key]).lower() for key in _LEVEL_KEYS if isinstance(found.get(key), str)), "info")
    told = (*_LEVEL_KEYS, *_TIME_KEYS, "message", "msg")
    fields: dict[str, Scalar] = {
        clean(key)[:200]: clean(value) if isinstance(value, str) else value
        for key, value in list(found.items())[:MAX_FIELDS]
        if key not in told and isinstance(value, str | int | float | bool) and _fits(value)
    }
    return LogLine(level=clean(level)[:20], message=clean(message)[:MAX_LINE_BYTES], at=_time(found), fields=fields)


def _fits(value: str | float) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return len(str(value)) <= 200


def _time(found: Mapping[str, object]) -> datetime | None:
    value = next((found[key] for key in _TIME_KEYS if key in found), None)
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else None  # a local time without its zone says nothing certain
        if isinstance(value, int | float) and not isinstance(value, bool) and 1e9 < value < 1e11:
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


# ---- several lines that are one message

_STARTS = {
    "python": re.compile(rb"Traceback \(most recent call last\):"),
    "java": re.compile(rb"^Exception in thread "),
    "go": re.compile(rb"^(?:panic: |fatal error: )"),
}
_CHAINED = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)
_GOES_ON = {
    "java": re.compile(rb"^(?:\s|Caused by: |Suppressed: )"),
    "go": re.compile(rb"^(?:\s|$|goroutine \d+ \[|created by |exit status |[\w./*\[\]()-]+\(.*\)$)"),
}


@dataclass(slots=True)
class _Open:
    """A traceback whose end hasn't been read yet."""

    start: int
    language: str
    lines: list[bytes]
    named: bool = False
    """The exception's own line, the last of a Python traceback, has been read: only a chained one may follow."""

    def continues(self, raw: bytes) -> bool:
        if len(self.lines) >= MAX_JOINED_LINES or raw.startswith(b"{"):
            return False
        if self.language != "python":
            return bool(_GOES_ON[self.language].search(raw))
        text = raw.strip()
        begins = bool(_STARTS["python"].search(raw))
        if self.named:
            self.named = text not in _CHAINED
            return not text or not self.named
        self.named = bool(text) and not begins and text not in _CHAINED and raw[:1] not in (b" ", b"\t")
        return True


@dataclass(slots=True)
class Joiner:
    """Puts the lines of a traceback together: it is one message. Other lines pass at once.

    >>> joiner = Joiner()
    >>> text = b"one|Traceback (most recent call last):|  File x|ValueError: no|two".split(b"|")
    >>> [line.message for start, raw in enumerate(text) for line in joiner.add(raw, start)]
    ['one', 'Traceback (most recent call last):\\n  File x\\nValueError: no', 'two']
    """

    _open: _Open | None = None

    @property
    def held_from(self) -> int | None:
        """Where the message begins that is still waiting for its end."""
        return None if self._open is None else self._open.start

    def add(self, raw: bytes, start: int) -> list[LogLine]:
        """The messages that `raw`, which begins at `start`, completes."""
        raw = raw[:MAX_LINE_BYTES].rstrip(b"\r\n")
        done: list[LogLine] = []
        if self._open is not None:
            if self._open.continues(raw):
                self._open.lines.append(raw)
                return done
            done += self.flush()
        language = next((name for name, start_ in _STARTS.items() if start_.search(raw)), None)
        if language is not None and not raw.lstrip().startswith(b"{"):
            self._open = _Open(start, language, [raw])
        elif raw.strip(b" \t\r\x00"):
            done.append(parse_line(raw))
        return done

    def flush(self) -> list[LogLine]:
        """What is held, because nothing more came or something else began."""
        opened, self._open = self._open, None
        if opened is None:
            return []
        while opened.lines and not opened.lines[-1].strip():
            opened.lines.pop()
        text = b"\n".join(opened.lines)
        if len(text) > MAX_LINE_BYTES:  # the beginning says where, the end says what
            text = text[:_HEAD_BYTES] + b"\n  ...\n" + text[-(MAX_LINE_BYTES - _HEAD_BYTES - 7) :]
        message = clean(text.decode("utf-8", errors="replace")).strip()
        return [LogLine(level="error", message=message, fields={"lines": len(opened.lines)})]
