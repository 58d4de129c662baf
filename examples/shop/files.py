"""The shop's files on disk: atomic writes, and JSON lines that are appended whole and read from the end."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

type Record = dict[str, object]

_BLOCK_BYTES = 64 * 1024


def timestamp(at: datetime | None = None) -> str:
    """ISO 8601 in UTC with milliseconds; of fixed width, so that text order is time order."""
    at = at or datetime.now(UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Readers see the old bytes or the new, never half of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    scratch.replace(path)


def append_line(path: Path, record: Record) -> None:
    """One write call on an append-only descriptor: lines of several processes never mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, _line(record))
    finally:
        os.close(descriptor)


class BoundedLines:
    """A JSON-lines file of at most twice `max_bytes`: the older half lies in `<name>.1`."""

    def __init__(self, path: Path, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def append(self, record: Record) -> None:
        if self._size_bytes >= self._max_bytes:
            os.close(self._descriptor)
            self._path.replace(older(self._path))
            self._open()
        self._size_bytes += os.write(self._descriptor, _line(record))

    def close(self) -> None:
        os.close(self._descriptor)


def older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def read_newest_first(path: Path) -> Iterator[Record]:
    """The records of a bounded file, newest first; a line still being written is left out."""
    for part in (path, older(path)):
        if part.exists():
            yield from map(json.loads, _lines_backwards(part))


def _line(record: Record) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _lines_backwards(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        position = stream.seek(0, os.SEEK_END)
        tail: bytes | None = None
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            stream.seek(position)
            block = stream.read(size)
            if tail is None:
                # Whatever follows the last newline is not finished yet.
                block, newline, _ = block.rpartition(b"\n")
                if not newline:
                    continue
                tail = b""
            lines = (block + tail).split(b"\n")
            tail = lines[0]
            yield from (line for line in reversed(lines[1:]) if line)
        if tail:
            yield tail
