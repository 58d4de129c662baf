"""A container's stdout and stderr as the Docker Engine streams them, from where they were left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import httpx
import structlog

from services.detector.clients.lines import MAX_LINE_BYTES, Joiner
from services.detector.clients.reports import Memory, Reports
from shared.contracts.ingest import LogLine

log = structlog.get_logger()

AGAIN_S = 1.0
KEEP_EVERY_S = 2.0
HOLD_S = 1.0
MAX_UNSENT = 5_000
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
_HEADER = 8


@dataclass(slots=True)
class Demultiplexer:
    """Takes the two streams of a container apart: frames of one byte for the stream, three empty ones, a length in
    four, and so much of the stream. A terminal's output (`tty`) comes as it is.

    >>> split = Demultiplexer(tty=False)
    >>> split.feed(bytes([2, 0, 0, 0, 0, 0, 0, 5]) + b"no")
    []
    >>> split.feed(b"pe" + bytes([10]))
    [('stderr', b'nope')]
    """

    tty: bool
    _buffer: bytes = b""
    _rests: dict[str, bytes] = field(default_factory=dict)

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Lines that are whole by now. Raises ValueError when these are no frames."""
        if self.tty:
            return self._lines("stdout", data)
        self._buffer += data
        lines: list[tuple[str, bytes]] = []
        while len(self._buffer) >= _HEADER:
            stream, size = STREAMS.get(self._buffer[0]), int.from_bytes(self._buffer[4:_HEADER])
            if stream is None or self._buffer[1:4] != b"\0\0\0":
                raise ValueError("not the frames of a container's log")
            if len(self._buffer) < _HEADER + size:
                break
            lines += self._lines(stream, self._buffer[_HEADER : _HEADER + size])
            self._buffer = self._buffer[_HEADER + size :]
        return lines

    def _lines(self, stream: str, data: bytes) -> list[tuple[str, bytes]]:
        *whole, rest = data.split(b"\n")
        lines = [(stream, self._rests.pop(stream, b"") + part) for part in whole]
        self._rests[stream] = (self._rests.get(stream, b"") + rest)[: 2 * MAX_LINE_BYTES]
        return lines


def stamped(line: bytes) -> tuple[str, bytes]:
    """The time that the engine puts before a line, and the line; an empty time where there is none."""
    stamp, space, rest = line.partition(b" ")
    if space and 20 <= len(stamp) <= 40 and stamp[4:5] == b"-" and b"T" in stamp:
        return stamp.decode("ascii", "replace"), rest
    return "", line


class ContainerLogs:
    """One container's stream. Times are kept to the nanosecond: lines up to the last one told are not told again."""

    def __init__(
        self, client: httpx.AsyncClient, component: str, probe: str, container: str, reports: Reports, memory: Memory
    ) -> None:
        self._client, self._component, self._probe = client, component, probe
        self._path = f"/containers/{quote(container, safe='')}"
        self._reports, self._memory = reports, memory
        self._last = ""
        self._kept = ""
        self._kept_at = float("-inf")
        self._publishing = asyncio.Lock()
        self._joiners = {name: Joiner() for name in STREAMS.values()}
        self._arrived = asyncio.Event()
        self._unsent: list[LogLine] = []
        self._problem = ""

    async def run(self) -> None:
        """For ever: the stream ends with the container, and begins again with it."""
        while True:
            try:
                await self._begin()
                await self._follow()
            except (httpx.HTTPError, OSError, ValueError) as error:
                self._say(str(error) or type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the bus or the database is away; what was read is still here
                log.warning("container's log held up", probe=self._probe, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(AGAIN_S)

    async def close(self) -> None:
        """Keeps the place, where all that was read has been told."""
        if self._last:
            await self._publish(final=True)

    def _say(self, problem: str) -> None:
        """Once, until something is read again: a container that has stopped has no log to follow for long."""
        if problem != self._problem:
            log.warning("container's log can't be followed", probe=self._probe, error=problem)
        self._problem = problem

    async def _begin(self) -> None:
        if not self._last:
            self._last = self._kept = await self._memory.recall_position(self._probe) or ""
        if not self._last:  # first sight: from now on
            self._last = self._reports.clock().strftime("%Y-%m-%dT%H:%M:%S.%f000Z")

    async def _follow(self) -> None:
        found = await self._client.get(f"{self._path}/json")
        found.raise_for_status()
        split = Demultiplexer(tty=bool(found.json().get("Config", {}).get("Tty", False)))
        params = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "since": since(self._last)}
        async with self._client.stream("GET", f"{self._path}/logs", params=params) as response:
            response.raise_for_status()
            self._problem = ""
            told_to = self._last
            telling = asyncio.create_task(self._tell(), name=f"{self._probe}-log")
            try:
                async for data in response.aiter_raw():
                    for stream, line in split.feed(data):
                        self._take(stream, line, told_to)
                    self._arrived.set()
                    while len(self._unsent) > MAX_UNSENT:  # the engine keeps the rest
                        await asyncio.sleep(0.1)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                self._flush()
                await self._publish(final=True)

    def _take(self, stream: str, raw: bytes, told_to: str) -> None:
        stamp, line = stamped(raw)
        if stamp and stamp <= told_to:
            return
        if stamp:
            self._last = max(self._last, stamp)
        at = _instant(stamp)
        for message in self._joiners[stream].add(line, 0):
            fields = {**message.fields, "stream": stream}
            self._unsent.append(message.model_copy(update={"at": message.at or at, "fields": fields}))

    def _flush(self) -> None:
        for stream, joiner in self._joiners.items():
            for message in joiner.flush():
                fields = {**message.fields, "stream": stream}
                self._unsent.append(message.model_copy(update={"at": _instant(self._last), "fields": fields}))

    async def _tell(self) -> None:
        """Publishes what has come, and what waits for more lines when none came for a while."""
        while True:
            try:
                async with asyncio.timeout(HOLD_S):
                    await self._arrived.wait()
            except TimeoutError:
                self._flush()
            self._arrived.clear()
            try:
                await self._publish()
            except Exception as error:  # noqa: BLE001 - tried again with what comes next
                log.warning(
                    "container's log not published", probe=self._probe, error=f"{type(error).__name__}: {error}"
                )
            await asyncio.sleep(0.1)

    async def _publish(self, *, final: bool = False) -> None:
        async with self._publishing:
            while sending := self._unsent[:MAX_UNSENT]:
                await self._reports.logs(self._component, sending)
                del self._unsent[: len(sending)]
            held = any(joiner.held_from is not None for joiner in self._joiners.values())
            now = asyncio.get_running_loop().time()
            due = final or now - self._kept_at >= KEEP_EVERY_S
            if due and not held and self._last != self._kept:
                last, self._kept_at = self._last, now
                await self._memory.remember_position(self._probe, last)
                self._kept = last


def since(stamp: str) -> str:
    """A time as the engine's `since` wants it: seconds and nanoseconds since the epoch.

    >>> since("2026-01-02T03:04:05.123456789Z")
    '1767323045.123456789'
    """
    at = _instant(stamp)
    if at is None:
        return "0"
    fraction = stamp.partition(".")[2].rstrip("Z")[:9].ljust(9, "0")
    return f"{int(at.timestamp())}.{fraction if fraction.isdecimal() else '000000000'}"


def _instant(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp) if stamp else None
    except ValueError:
        return None
