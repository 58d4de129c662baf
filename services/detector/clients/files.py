"""Follows log files, and notices changed configuration files."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from services.detector.clients.reports import Memory, Reports, Seen
from services.detector.clients.tail import FileTail, Position
from shared.contracts.ingest import CheckKind, CheckResult, LogLine
from shared.packs.model import Probe

log = structlog.get_logger()

HOLD_S = 1.0
"""A traceback without its end waits this long for the rest of it."""
KEEP_EVERY_S = 2.0
"""How often the position of a growing file is kept: so much may be told again after a crash."""
MAX_UNSENT = 10_000


class LogProber:
    """Follows a file from where it was left, or its present end at first sight."""

    def __init__(self, probe: Probe, reports: Reports, memory: Memory) -> None:
        assert probe.logs is not None
        self._probe, self._reports, self._memory = probe, reports, memory
        self._path = Path(probe.logs.path)
        self._tail = FileTail(self._path)
        self._unsent: list[LogLine] = []
        self._started = False
        self._waits_since: float | None = None
        self._kept = ""
        self._kept_at = float("-inf")

    async def look(self) -> None:
        """A sign of life, so that silence of the file is known to be silence."""
        await self.poll()
        detail = "" if self._tail.is_open else f"{self._path} is not there yet"
        seen = Seen(CheckResult.OK, detail=detail)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.CUSTOM, seen)

    async def poll(self) -> None:
        if not self._started:
            await self._start()
        if len(self._unsent) <= MAX_UNSENT:  # else the bus is away: the file keeps the rest
            self._unsent += self._read()
        if self._unsent:
            await self._reports.logs(self._probe.component, self._unsent)
            self._unsent = []  # only now: what couldn't be published is tried again
        if time.monotonic() - self._kept_at >= KEEP_EVERY_S:
            await self._keep()

    async def close(self) -> None:
        try:
            if self._started and not self._unsent:
                await self._keep()
        finally:
            self._tail.close()

    async def _start(self) -> None:
        known = await self._memory.recall_position(self._probe.name)
        position = Position.parse(known) if known is not None else None
        self._tail.start(position, at_end=known is None)
        self._started = True
        if self._tail.skipped_bytes:
            log.warning("log lines skipped", probe=self._probe.name, bytes=self._tail.skipped_bytes)

    def _read(self) -> list[LogLine]:
        lines = self._tail.read()
        now = time.monotonic()
        if lines or not self._tail.holds:
            self._waits_since = now if self._tail.holds else None
        elif self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since >= HOLD_S:
            self._waits_since = None
            lines += self._tail.flush()
        return lines

    async def _keep(self) -> None:
        """Only once what was read has been published."""
        self._kept_at = time.monotonic()
        position = self._tail.position()
        text = position.text() if position is not None else "-"
        if text != self._kept:
            await self._memory.remember_position(self._probe.name, text)
            self._kept = text


@dataclass(frozen=True, slots=True)
class _Stamp:
    inode: int
    modified_ns: int
    size: int


class ConfigProber:
    """Tells every change of a file's bytes, also one made while nobody was looking."""

    def __init__(self, probe: Probe, reports: Reports, memory: Memory) -> None:
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
