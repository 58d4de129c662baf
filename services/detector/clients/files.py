"""Follows log files, and notices changed configuration files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from services.detector.clients.reports import FileMemory, Reports, Seen
from shared.contracts.base import Scalar
from shared.contracts.ingest import CheckKind, CheckResult, LogLine
from shared.packs.model import Probe

MAX_LINE_BYTES = 8_192
MAX_READ_BYTES = 1_048_576
"""Read at most this much at once: a file that grows faster is followed in steps."""
MAX_FIELDS = 20
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)\b", re.IGNORECASE)
_LEVEL_KEYS = ("level", "severity", "levelname", "lvl")
_MESSAGE_KEYS = ("message", "msg", "event")
_TIME_KEYS = ("ts", "timestamp", "time", "@timestamp", "at")
_ERROR_KEYS = ("error", "exception", "exc_info", "stack", "traceback")


class LogProber:
    """Follows a file from its present end on, over rotation (by name or by truncation)."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.logs is not None
        self._probe, self._reports = probe, reports
        self._path = Path(probe.logs.path)
        self._file: BufferedReader | None = None
        self._inode = 0
        self._rest = b""
        self._unsent: list[LogLine] = []
        self._first = True

    async def look(self) -> None:
        """A sign of life, so that silence of the file is known to be silence."""
        await self.poll()
        there = self._file is not None
        seen = Seen(CheckResult.OK, detail="" if there else f"{self._path} is not there yet")
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.CUSTOM, seen)

    async def poll(self) -> None:
        self._unsent += self._read()
        if self._unsent:
            await self._reports.logs(self._probe.component, self._unsent)
            self._unsent = []  # only now: what couldn't be published is tried again

    async def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self) -> list[LogLine]:
        if len(self._unsent) > 10_000:
            return []  # the bus is away: the file keeps the rest
        try:
            status = self._path.stat()
        except FileNotFoundError:
            status = None
        lines: list[LogLine] = []
        if self._file is not None:
            if status is not None and status.st_ino == self._inode and status.st_size < self._file.tell():
                self._file.seek(0)  # truncated in place
                self._rest = b""
            lines = self._lines(self._file)
            if status is None or status.st_ino != self._inode:
                self._file.close()  # renamed away, and read to its end just now
                self._file = None
                self._rest = b""
        if self._file is None and status is not None:
            self._file = open(self._path, "rb")  # noqa: SIM115 - kept open between polls
            self._inode = status.st_ino
            if self._first:
                self._file.seek(0, 2)
            else:
                lines += self._lines(self._file)
        self._first = False
        return lines

    def _lines(self, file: BufferedReader) -> list[LogLine]:
        data = self._rest + file.read(MAX_READ_BYTES)
        whole, _, self._rest = data.rpartition(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = self._rest[:MAX_LINE_BYTES]
        return [parse_line(line) for line in whole.split(b"\n") if line.strip()]


def parse_line(raw: bytes) -> LogLine:
    """A JSON object with the usual names, or plain text whose level is guessed from the words used for levels."""
    text = raw[:MAX_LINE_BYTES].decode("utf-8", errors="replace").strip()
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
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
        key: value
        for key, value in list(found.items())[:MAX_FIELDS]
        if key not in told and isinstance(value, str | int | float | bool) and len(str(value)) <= 200
    }
    return LogLine(level=level[:20], message=message[:MAX_LINE_BYTES], at=_time(found), fields=fields)


def _time(found: dict[str, object]) -> datetime | None:
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


@dataclass(frozen=True, slots=True)
class _Stamp:
    inode: int
    modified_ns: int
    size: int


class ConfigProber:
    """Tells every change of a file's bytes, also one made while nobody was looking."""

    def __init__(self, probe: Probe, reports: Reports, memory: FileMemory) -> None:
        assert probe.config is not None
        self._probe, self._reports, self._memory = probe, reports, memory
        self._path = Path(probe.config.path)
        self._stamp: _Stamp | None = None
        self._known: str | None = None
        self._recalled = False
        self._lock = asyncio.Lock()

    async def look(self) -> None:
        """Reads the bytes, whatever the file's date says."""
        await self._compare()

    async def poll(self) -> None:
        stamp = self._stamp_now()
        if stamp != self._stamp and not (stamp is not None and stamp.size == 0):  # empty: being written
            await self._compare()

    async def close(self) -> None:
        """Nothing is held open."""

    async def _compare(self) -> None:
        async with self._lock:
            if not self._recalled:
                self._known = await self._memory.recall(self._probe.name)
                self._recalled = True
            stamp = self._stamp_now()
            try:
                data = self._path.read_bytes()
                now = hashlib.sha256(data).hexdigest()
            except FileNotFoundError:
                now = ""
            if now != self._known:
                if self._known is not None:
                    changed_ns = stamp.modified_ns if stamp is not None else 0
                    at = datetime.fromtimestamp(changed_ns / 1e9, UTC) if changed_ns else self._reports.clock()
                    at = min(at, self._reports.clock())
                    await self._reports.file_changed(self._probe.component, str(self._path), self._known, now, at)
                await self._memory.remember(self._probe.name, now)
                self._known = now
            self._stamp = stamp

    def _stamp_now(self) -> _Stamp | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return _Stamp(status.st_ino, status.st_mtime_ns, status.st_size)
