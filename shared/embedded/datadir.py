"""One directory holds all that the embedded servers keep, so that it can be claimed, locked, backed up and deleted.

It is refused unless it is ours: a typing mistake in a path must never let us write into someone's files.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import random
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.embedded.errors import DataDirError
from shared.embedded.ports import choose_port, require_free

MARKER = "homeostat.json"
KIND = "homeostat-data"
VERSION = 1
LOCK = "lock"
CREDENTIALS = "credentials.json"
PORTS = "ports.json"
SUBDIRECTORIES = ("nats", "postgres", "logs", "run")
# Not signs of foreign content: our lock left by a first start that was killed, and what mkfs leaves on a volume.
_IGNORED = frozenset({LOCK, "lost+found"})
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def new_secret() -> str:
    """192 random bits in hexadecimal: needs no quoting in URLs, shells or configuration files."""
    return secrets.token_hex(24)


class DataDir:
    """A claimed and locked data directory. Make one with `DataDir.open`; `close` (or `with`) gives it free."""

    def __init__(self, path: Path, lock_fd: int, new_secret: Callable[[], str], rng: random.Random) -> None:
        self.path = path
        self._lock_fd: int | None = lock_fd
        self._new_secret = new_secret
        self._rng = rng

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        new_secret: Callable[[], str] = new_secret,
        rng: random.Random | None = None,
    ) -> DataDir:
        """Claims `path` (created when missing) for this process, mode 0700.

        Raises DataDirError when the path is a file, holds files that are not ours, belongs to another user,
        is not writable, was made by a newer version, or is in use by another live supervisor.
        """
        root = Path(os.path.abspath(Path(path).expanduser()))
        _check_ours(root)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = _lock(root)
        except OSError as error:
            raise _unwritable(root, error) from error
        try:
            _check_ours(root)  # again, now that nobody else can be claiming it
            _populate(root)
        except OSError as error:
            os.close(lock_fd)
            raise _unwritable(root, error) from error
        except DataDirError:
            os.close(lock_fd)
            raise
        return cls(root, lock_fd, new_secret, rng or random.SystemRandom())

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    def secret(self, name: str) -> str:
        """The secret of that name, generated once and kept in credentials.json (mode 0600)."""
        known = self._load(CREDENTIALS)
        value = known.get(_checked_name(name))
        if isinstance(value, str):
            return value
        created = self._new_secret()
        self._save(CREDENTIALS, {**known, name: created})
        return created

    def port(self, name: str, *, fixed: int | None = None, grace_s: float = 3.0) -> int:
        """The loopback port of that name: `fixed`, or one chosen at the first call and kept in ports.json.

        Raises PortInUseError when another program still listens there after `grace_s` seconds.
        """
        if fixed is not None:
            require_free(name, fixed, grace_s=grace_s, remedy="Stop that process or configure another port.")
            return fixed
        known = self._load(PORTS)
        value = known.get(_checked_name(name))
        if isinstance(value, int):
            remedy = f"Stop that process, or remove {name!r} from {self.path / PORTS} to have another chosen."
            require_free(name, value, grace_s=grace_s, remedy=remedy)
            return value
        taken = [port for port in known.values() if isinstance(port, int)]
        chosen = choose_port(taken, self._rng)
        self._save(PORTS, {**known, name: chosen})
        return chosen

    def close(self) -> None:
        """Gives the directory free for another supervisor. May be called twice."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, name: str) -> dict[str, object]:
        path = self.path / name
        if not path.exists():
            return {}
        content = _read_object(path)
        if content is None:
            raise DataDirError(
                self.path,
                f"{name} is not a readable JSON object",
                f"Restore it from a backup; without it the servers in {self.path} cannot be opened.",
            )
        return content

    def _save(self, name: str, content: dict[str, object]) -> None:
        try:
            write_private(self.path / name, json.dumps(content, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error


def write_private(path: Path, text: str) -> None:
    """Replaces the file atomically and durably, readable by its owner only (mode 0600)."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _check_ours(root: Path) -> None:
    """Raises DataDirError unless `root` is missing, empty, or carries our marker, and belongs to this user."""
    if not root.exists():
        return
    if not root.is_dir():
        raise DataDirError(root, "is a file, not a directory", "Name a directory that is empty or does not exist.")
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise DataDirError(
            root,
            f"belongs to user {_user_name(owner)}, this process runs as {_user_name(os.geteuid())}",
            "Run as that user, or name another directory.",
        )
    try:
        entries = {entry.name for entry in root.iterdir()}
    except OSError as error:
        raise _unwritable(root, error) from error
    if MARKER in entries:
        _check_marker(root)
    elif entries - _IGNORED:
        example = sorted(entries - _IGNORED)[0]
        raise DataDirError(
            root,
            f"is not empty (it holds {example!r}) and is not a Homeostat data directory (no {MARKER})",
            "Name a directory that is empty or does not exist.",
        )


def _check_marker(root: Path) -> None:
    marker = _read_object(root / MARKER)
    if marker is None or marker.get("kind") != KIND:
        raise DataDirError(
            root, f"its {MARKER} is not ours", f'A marker reads {{"kind": "{KIND}"}}. Name another directory.'
        )
    version = marker.get("version")
    if version != VERSION:
        raise DataDirError(
            root,
            f"has layout version {version!r}, this program knows version {VERSION}",
            "Run the Homeostat release that made it, or name another directory.",
        )


def _lock(root: Path) -> int:
    """Takes the directory's lock; the kernel gives it free however the holder ends."""
    fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise DataDirError(
            root, f"is in use by another supervisor (process {holder})", "Stop it first, or name another directory."
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
    return fd


def _populate(root: Path) -> None:
    root.chmod(0o700)
    for name in SUBDIRECTORIES:
        (root / name).mkdir(mode=0o700, exist_ok=True)
    credentials = root / CREDENTIALS
    if credentials.exists():
        credentials.chmod(0o600)
    if not (root / MARKER).exists():
        write_private(root / MARKER, json.dumps({"kind": KIND, "version": VERSION}) + "\n")


def _read_object(path: Path) -> dict[str, object] | None:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: use 1 to 100 letters, digits, '_', '.' or '-'")
    return name


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unwritable(root: Path, error: OSError) -> DataDirError:
    return DataDirError(
        root,
        f"cannot be used: {error.strerror or error}",
        "Make it and its parents accessible to this user, or name another directory.",
    )
