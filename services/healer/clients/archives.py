"""One archive file a month for old backups: a ZIP of contents named by their sha256, and of what they belong to.

A file is written beside its place, read back whole, and only then given its name, which holds the first digits of its
own sha256. It is never written again.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from services.healer.clients.files import digest

_INDEX = "backups.json"
_BLOBS = "blobs/"
_PREFIX, _SUFFIX = "backups-", ".zip"
_UNREADABLE = (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged ZIP may raise."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The same contents make the same file: no time of writing goes into it."""


class ArchiveError(Exception):
    """An archive can't be written or read, or holds something else than it should; the message says which and why."""


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    name: str
    sha256: str
    size_bytes: int


class ArchiveWriter:
    """Takes contents one by one, so that a month of backups need not fit into memory."""

    def __init__(self, directory: Path, month: str) -> None:
        self._directory, self._month = directory, month
        self._scratch = directory / f".{_PREFIX}{month}.tmp"
        self._names: list[str] = []
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._scratch.unlink(missing_ok=True)
            handle = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ArchiveError(f"can't write archives in {directory}: {error.strerror}") from error
        self._file = open(handle, "wb")  # noqa: SIM115 - closed by `finish` or `give_up`
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)

    def add(self, sha256: str, content: bytes) -> None:
        self._zip.writestr(_entry(_BLOBS + sha256), content)
        self._names.append(sha256)

    def finish(self, backups: Sequence[Mapping[str, object]]) -> ArchiveFile:
        """Writes what the contents belong to, reads everything back, and gives the file its name."""
        try:
            self._zip.writestr(_entry(_INDEX), json.dumps(list(backups), sort_keys=True, ensure_ascii=False))
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sha256 = _digest(self._scratch)
            name = f"{_PREFIX}{self._month}-{sha256[:12]}{_SUFFIX}"
            if bad := damaged(self._scratch, sha256, self._names):
                raise ArchiveError(f"{self._scratch} does not read back: {'; '.join(bad)}")
            size = self._scratch.stat().st_size
            self._scratch.replace(self._directory / name)
            handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise ArchiveError(f"can't write {self._scratch}: {error.strerror}") from error
        return ArchiveFile(name, sha256, size)

    def give_up(self) -> None:
        """Leaves nothing behind; does nothing after `finish`."""
        self._file.close()
        self._scratch.unlink(missing_ok=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def content(path: Path, sha256: str) -> bytes:
    """Bytes out of an archive, checked. Raises ArchiveError."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.read(_BLOBS + sha256)
    except (KeyError, *_UNREADABLE) as error:
        raise ArchiveError(f"{path} can't give {sha256[:12]}: {error}") from error
    if digest(found) != sha256:
        raise ArchiveError(f"{path} holds other bytes under {sha256[:12]}")
    return found


def damaged(path: Path, sha256: str, names: Iterable[str] | None = None) -> list[str]:
    """What is wrong with an archive: the file as a whole, and each content against its name. Empty: nothing.

    `names`: contents that must be there; by default those that the archive lists.
    """
    bad: list[str] = []
    try:
        if _digest(path) != sha256:
            bad.append(f"{path.name} is not the file that was written")
        with zipfile.ZipFile(path) as archive:
            held = [entry.removeprefix(_BLOBS) for entry in archive.namelist() if entry.startswith(_BLOBS)]
            bad += [f"{path.name} lacks {name[:12]}" for name in names or () if name not in set(held)]
            for name in held:
                if digest(archive.read(_BLOBS + name)) != name:
                    bad.append(f"{path.name} holds other bytes under {name[:12]}")
    except _UNREADABLE as error:
        bad.append(f"{path.name} can't be read: {error}")
    return bad
