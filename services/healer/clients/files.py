"""Reading and replacing files whole: bytes, mode and owner; never half a file, never over a stranger's change."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

FILE_BYTES_MAX = 4 * 1024 * 1024
"""Configuration is small; a larger file is refused, not cut."""


class FileError(Exception):
    """A file can't be read or replaced; the message names it and says why."""


class FileChangedError(FileError):
    """Somebody else has changed the file since it was looked at."""


@dataclass(frozen=True, slots=True)
class FileState:
    """Identity of a file's content and permissions; `sha256` is empty where there is no file.

    `link`: where the path itself points to if it is a symbolic link, "" if it is none, None: whatever it is now.
    """

    path: str
    sha256: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    link: str | None = ""

    @property
    def exists(self) -> bool:
        return bool(self.sha256)

    def is_as(self, wanted: FileState) -> bool:
        """Whether this is what `wanted` says."""
        return self == (wanted if wanted.link is not None else replaced(wanted, link=self.link))


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file's state with its content (empty where there is no file)."""

    state: FileState
    content: bytes = b""


def absolute(path: str) -> str:
    """A pack's path as this process understands it: relative ones begin at the healer's working directory."""
    return os.path.abspath(path)


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def read(path: str) -> FileCopy:
    """The file as it is, read in one go from one open file: bytes and mode belong together.

    Raises:
        FileError: not an absolute path, not a regular file, too large, or not readable.
    """
    if not Path(path).is_absolute():
        raise FileError(f"{path!r} is not an absolute path: write it whole in the pack")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return FileCopy(FileState(path, "", link=_link(path)))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a regular file")
        with open(handle, "rb", closefd=False) as file:
            content = file.read(FILE_BYTES_MAX + 1)
    finally:
        os.close(handle)
    if len(content) > FILE_BYTES_MAX:
        raise FileError(f"{path} is larger than {FILE_BYTES_MAX} bytes: such files are not backed up nor changed")
    mode = stat.S_IMODE(status.st_mode)
    state = FileState(path, digest(content), mode, status.st_uid, status.st_gid, _link(path))
    return FileCopy(state, content)


def replace(wanted: FileCopy, expected_sha256: str) -> bool:
    """Makes the file what `wanted` says, in one rename; returns False when it was so already.

    The new bytes are on the disk before the name points to them, and so is the name before this returns.

    Raises:
        FileChangedError: the file holds neither the wanted bytes nor those of `expected_sha256` ("": no file).
        FileError: it can't be written.
    """
    path = wanted.state.path
    now = read(path).state
    if now.is_as(wanted.state):
        return False
    if now.sha256 not in {expected_sha256, wanted.state.sha256}:
        raise FileChangedError(
            f"{path} was changed by somebody else since it was looked at "
            f"(sha256 {now.sha256[:12] or 'none'}, expected {expected_sha256[:12] or 'none'}): left as it is"
        )
    try:
        _make(wanted, now.link if wanted.state.link is None else wanted.state.link, now)
    except OSError as error:
        raise FileError(f"can't write {path}: {error.strerror}") from error
    return True


def _make(wanted: FileCopy, link: str | None, now: FileState) -> None:
    """What is written through a link stays behind it; a path that is to be no link is replaced itself."""
    path = Path(wanted.state.path)
    if link and now.link != link:
        scratch = path.with_name(f".{path.name}.{token_hex(6)}.tmp")
        scratch.symlink_to(link)
        scratch.replace(path)
        _sync_directory(path.parent)
    target = Path(os.path.realpath(path)) if link else path
    if wanted.state.exists:
        _write(target, wanted)
    else:
        target.unlink(missing_ok=True)
    if target.parent.is_dir():
        _sync_directory(target.parent)


def inwards(copies: Sequence[FileCopy]) -> list[FileCopy]:
    """Links after what they lead to: what is written through a link must find its end where it was."""
    links = {os.path.normpath(copy.state.path): copy.state.link for copy in copies if copy.state.link != ""}

    def hops(path: str, limit: int) -> int:
        if path not in links or limit == 0:
            return 0
        return 1 + hops(os.path.normpath(os.path.join(os.path.dirname(path), links[path] or "")), limit - 1)

    return sorted(copies, key=lambda copy: hops(os.path.normpath(copy.state.path), len(links)))


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def verify(wanted: FileState) -> None:
    """Reads the file back. Raises FileError unless bytes, mode, owner and link are what they should be."""
    now = read(wanted.path).state
    if not now.is_as(wanted):
        raise FileError(f"{wanted.path} reads back as {now}, not as {wanted}")


def _write(target: Path, wanted: FileCopy) -> None:
    scratch = target.with_name(f".{target.name}.{token_hex(6)}.tmp")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb", closefd=True) as file:
            file.write(wanted.content)
            file.flush()
            status = os.fstat(handle)
            if (status.st_uid, status.st_gid) != (wanted.state.uid, wanted.state.gid):
                os.fchown(handle, wanted.state.uid, wanted.state.gid)
            os.fchmod(handle, wanted.state.mode)  # after the owner: changing that clears special bits
            os.fsync(handle)
        scratch.replace(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
