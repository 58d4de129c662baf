"""Reads what is appended to a file, over rotation, truncation and restarts of the detector. No line is lost that the
file still has, up to a bound; after a crash those since the position was last kept are read again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from services.detector.clients.lines import MAX_LINE_BYTES, Joiner
from shared.contracts.ingest import LogLine

MAX_READ_BYTES = 1_048_576
"""Read at most this much at once: a file that grows faster is followed in steps."""
MAX_CATCH_UP_BYTES = 16 * 1_048_576
"""Of what was written while nobody read, the newest part of this size is read."""
HEAD_BYTES = 256
"""So many first bytes tell a file from another that took its number or was written anew in its place."""
MAX_SIBLINGS = 1_000
"""So many files of a folder are looked at for the one that was renamed away."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file has been read, and what it is recognised by."""

    inode: int
    offset: int
    head_size: int
    head: str
    machine: str = ""

    def text(self) -> str:
        return json.dumps([self.inode, self.offset, self.head_size, self.head, self.machine])

    @classmethod
    def parse(cls, text: str) -> Position | None:
        try:
            inode, offset, size, head, machine = json.loads(text)
            return cls(int(inode), max(0, int(offset)), min(HEAD_BYTES, max(0, int(size))), str(head), str(machine))
        except (ValueError, TypeError):
            return None


class FileTail:
    """`read` gives whole messages, as often as it is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._inode = 0
        self._head = b""
        self._read_to = 0
        """How far bytes have been taken out of the file."""
        self._rest = b""
        """The beginning of a line whose end isn't there yet, as much of it as will be kept."""
        self._pending = 0
        """How long that line is so far, also what of it was not kept."""
        self._line_start = 0
        self._joiner = Joiner()
        self.skipped_bytes = 0

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def start(self, position: Position | None, *, at_end: bool) -> None:
        """Takes up a file where it was left, also when it was renamed since. A position of another machine
        says nothing of this file: its lines are old ones."""
        found = _find(self._path, position) if position is not None else None
        if found is not None and position is not None:
            self._take_up(found, position.offset)
            return
        if at_end or (position is not None and position.machine != os.uname().nodename):
            self._open()
            if self._file is not None:
                self._move_to(os.fstat(self._file.fileno()).st_size)

    def read(self) -> list[LogLine]:
        """The messages that are complete by now. A file renamed away is left when it has been read to its end and its
        successor has something in it: until then its writer may still write into it."""
        lines: list[LogLine] = []
        inode, size = _stat(self._path)
        if self._file is not None:
            if self._rewritten(self._file):
                lines += self._joiner.flush()
                self._move_to(_first_data(self._file))
                self._head = b""
            lines += self._lines(self._file)
            here = os.fstat(self._file.fileno())
            left = inode != self._inode and (size > 0 or here.st_nlink == 0)
            if left and self._read_to >= here.st_size:
                lines += self._end_of_file()
        if self._file is None and inode:
            self._open()
            if self._file is not None:
                lines += self._lines(self._file)
        return lines

    def flush(self) -> list[LogLine]:
        """What waits for more lines, because none has come."""
        return self._joiner.flush()

    @property
    def holds(self) -> bool:
        return self._joiner.held_from is not None

    def position(self) -> Position | None:
        """Up to where everything read has been given out; None while there is no file."""
        if self._file is None:
            return None
        held = self._joiner.held_from
        offset = self._line_start if held is None else held
        digest = hashlib.sha256(self._head).hexdigest()
        return Position(self._inode, offset, len(self._head), digest, os.uname().nodename)

    def close(self) -> None:
        self._let_go()

    # ---- inside

    def _open(self) -> None:
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115 - kept open between reads
        except FileNotFoundError:
            return
        self._take_up(file, 0)

    def _take_up(self, file: FileIO, offset: int) -> None:
        self._file = file
        self._inode = os.fstat(file.fileno()).st_ino
        self._head = os.pread(file.fileno(), HEAD_BYTES, 0)
        behind = os.fstat(file.fileno()).st_size - offset
        if behind > MAX_CATCH_UP_BYTES:
            self.skipped_bytes += behind - MAX_CATCH_UP_BYTES
            offset += behind - MAX_CATCH_UP_BYTES
        self._move_to(offset)

    def _move_to(self, offset: int) -> None:
        self._read_to = self._line_start = offset
        self._rest, self._pending = b"", 0

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
        self._head = b""
        self._move_to(0)

    def _end_of_file(self) -> list[LogLine]:
        """A last line without its end is a line."""
        lines = self._joiner.add(self._rest, self._line_start) if self._rest.strip() else []
        lines += self._joiner.flush()
        self._let_go()
        return lines

    def _rewritten(self, file: FileIO) -> bool:
        """Whether it was cut, or cut and written again beyond where we were (logrotate's `copytruncate`)."""
        if os.fstat(file.fileno()).st_size < self._read_to:
            return True
        now = os.pread(file.fileno(), HEAD_BYTES, 0)
        if now[: len(self._head)] != self._head:
            return True
        self._head = now
        return False

    def _lines(self, file: FileIO) -> list[LogLine]:
        data = os.pread(file.fileno(), MAX_READ_BYTES, self._read_to)
        self._read_to += len(data)
        lines: list[LogLine] = []
        *whole, rest = data.split(b"\n")
        for line in whole:
            lines += self._joiner.add((self._rest + line).lstrip(b"\x00"), self._line_start)
            self._line_start += len(line) + 1 + self._pending
            self._rest, self._pending = b"", 0
        self._pending += len(rest)
        self._rest = (self._rest + rest).lstrip(b"\x00")[:MAX_LINE_BYTES]
        return lines


def _stat(path: Path) -> tuple[int, int]:
    """Inode and size; zeros when there is no such file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_size


def _first_data(file: FileIO) -> int:
    """Where a file that was cut under a writer's hands begins to hold something: before, there is a hole."""
    try:
        return os.lseek(file.fileno(), 0, os.SEEK_DATA)
    except OSError:
        return 0  # no data yet, or a file system that knows no holes


def _find(path: Path, position: Position) -> FileIO | None:
    """The file that the position is of: under its name, or renamed beside it as rotation does."""
    candidates = [path]
    try:
        with os.scandir(path.parent) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_SIBLINGS:
                    break
                if entry.name != path.name and entry.name.startswith(path.stem) and entry.inode() == position.inode:
                    candidates.append(Path(entry.path))
    except OSError:
        pass
    for candidate in candidates:
        try:
            file = open(candidate, "rb", buffering=0)  # noqa: SIM115 - kept open when it is the one
        except OSError:
            continue
        head = os.pread(file.fileno(), position.head_size, 0)
        same = os.fstat(file.fileno()).st_ino == position.inode
        whole = os.fstat(file.fileno()).st_size >= position.offset
        if same and whole and hashlib.sha256(head).hexdigest() == position.head:
            return file
        file.close()
    return None
