"""Follows the systemd journal of one unit, through journalctl: it knows the files' format, rotation and rights."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from datetime import UTC, datetime

import structlog

from services.detector.clients.lines import MAX_LINE_BYTES, clean, parse_line
from services.detector.clients.reports import Memory, Reports, Seen
from shared.contracts.base import Scalar
from shared.contracts.ingest import CheckKind, CheckResult, LogLine
from shared.packs.model import JournalProbe, Probe

log = structlog.get_logger()

AGAIN_S, AGAIN_MOST_S = 1.0, 30.0
KEEP_EVERY_S = 2.0
END_S = 5.0
GATHER_S = 0.1
MAX_ENTRY_BYTES = 1_048_576
MAX_UNSENT = 5_000
LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
_FIELDS = {"_PID": "pid", "SYSLOG_IDENTIFIER": "identifier", "_SYSTEMD_UNIT": "unit", "_HOSTNAME": "host"}


def command(journal: JournalProbe, cursor: str) -> list[str]:
    """After the last entry told; without one, from now on."""
    words = ["journalctl", "--follow", "--output=json", "--all", "--quiet", "--no-pager"]
    words += [f"--after-cursor={cursor}", "--no-tail"] if cursor else ["--lines=0"]
    if journal.directory:
        words.append(f"--directory={journal.directory}")
    if journal.unit:
        words.append(f"--unit={journal.unit}")
    if journal.identifier:
        words.append(f"--identifier={journal.identifier}")
    return words


def parse_entry(raw: bytes) -> tuple[str, LogLine | None]:
    """An entry's cursor, and its line unless it says nothing. Raises ValueError when it is no entry."""
    try:
        entry = json.loads(raw)
        cursor = entry["__CURSOR"]
        text = _text(entry.get("MESSAGE"))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not an entry of a journal") from error
    if not isinstance(cursor, str):
        raise ValueError("an entry without its cursor")  # noqa: TRY004 - as above
    if not text.strip(" \t\r\n\0"):
        return cursor, None
    inner = parse_line(text.encode("utf-8", "replace")) if text.lstrip().startswith("{") else None
    message = inner.message if inner is not None else clean(text.strip())[:MAX_LINE_BYTES]
    fields: dict[str, Scalar] = {**(inner.fields if inner is not None else {})}
    fields.update({name: clean(str(entry[key]))[:200] for key, name in _FIELDS.items() if key in entry})
    level = inner.level if inner is not None else _level(entry.get("PRIORITY"))
    return cursor, LogLine(level=level, message=message, at=_instant(entry), fields=fields)


def _text(message: object) -> str:
    """journalctl gives what is no UTF-8 as a list of bytes, and a field that stands twice as a list of its values."""
    if isinstance(message, list):
        if all(isinstance(each, int) and 0 <= each < 256 for each in message):
            return bytes(message).decode("utf-8", "replace")
        return "\n".join(_text(each) for each in message[:20])
    return message if isinstance(message, str) else ""


def _level(priority: object) -> str:
    number = int(priority) if isinstance(priority, str) and priority.isdecimal() else 6
    return LEVELS[min(number, 7)]


def _instant(entry: dict[str, object]) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(str(entry["__REALTIME_TIMESTAMP"])) / 1e6, UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


class JournalProber:
    """One journalctl that follows; started again, from the last entry told, whenever it ends."""

    def __init__(self, probe: Probe, reports: Reports, memory: Memory) -> None:
        assert probe.journal is not None
        self._probe, self._journal, self._reports, self._memory = probe, probe.journal, reports, memory
        self._cursor: str | None = None
        """Of the last entry read; None until it is known where to begin."""
        self._kept = ""
        self._kept_at = float("-inf")
        self._unsent: list[LogLine] = []
        self._publishing = asyncio.Lock()
        self._problem = ""
        self._task = asyncio.create_task(self._run(), name=f"journal-{probe.name}")

    async def look(self) -> None:
        detail = self._problem
        seen = Seen(CheckResult.ERROR if detail else CheckResult.OK, detail=detail)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.JOURNAL, seen)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._cursor is not None:
            await self._publish(final=True)

    async def _run(self) -> None:
        delay_s = AGAIN_S
        while True:
            try:
                if self._cursor is None:
                    self._cursor = self._kept = await self._memory.recall_position(self._probe.name) or ""
                before = self._cursor
                await self._follow(self._cursor)
                if self._cursor != before:
                    delay_s = AGAIN_S
            except FileNotFoundError:
                self._problem = "journalctl is not installed where the detector runs: install systemd, or use `logs`"
            except Exception as error:  # noqa: BLE001 - a probe goes on looking
                self._problem = f"{type(error).__name__}: {error}"
            log.debug("journal interrupted", probe=self._probe.name, error=self._problem)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, AGAIN_MOST_S)

    async def _follow(self, cursor: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *command(self._journal, cursor),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_ENTRY_BYTES,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.create_task(_last_words(process.stderr))
        telling = asyncio.create_task(self._tell())
        try:
            self._problem = ""
            await self._read(process.stdout)
            await process.wait()
            said = await complaints
            self._problem = f"journalctl ended with {process.returncode}" + (f": {said}" if said else "")
            if "cursor" in said.lower() and cursor:
                log.warning("the journal no longer has the place; going on from now", probe=self._probe.name)
                self._cursor = ""
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await _end(process)
            complaints.cancel()
            await asyncio.gather(complaints, return_exceptions=True)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await stream.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError as error:  # an entry larger than any line: passed over
                await stream.readexactly(error.consumed)
                continue
            try:
                self._cursor, line = parse_entry(raw)
            except ValueError:
                continue
            if line is not None:
                self._unsent.append(line)
            while len(self._unsent) > MAX_UNSENT:  # the journal keeps the rest
                await asyncio.sleep(GATHER_S)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(GATHER_S)
            try:
                await asyncio.shield(self._publish())
            except Exception as error:  # noqa: BLE001 - the bus or the database is away; tried again
                log.warning("journal not published", probe=self._probe.name, error=repr(error))

    async def _publish(self, *, final: bool = False) -> None:
        async with self._publishing:
            cursor, sending = self._cursor or "", list(self._unsent)
            if sending:
                await self._reports.logs(self._probe.component, sending)
                del self._unsent[: len(sending)]
            now = asyncio.get_running_loop().time()
            if cursor and cursor != self._kept and (final or now - self._kept_at >= KEEP_EVERY_S):
                self._kept_at = now
                await self._memory.remember_position(self._probe.name, cursor)
                self._kept = cursor


async def _end(process: asyncio.subprocess.Process) -> None:
    """Its whole session, and what it still had to say: asyncio takes a process for ended once its pipes are read."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            while process.stdout is not None and await process.stdout.read(65_536):
                continue
            await process.wait()


async def _last_words(stream: asyncio.StreamReader) -> str:
    said = b""
    while data := await stream.read(4_096):
        said = (said + data)[-1_000:]
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
