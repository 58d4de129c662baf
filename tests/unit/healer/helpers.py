"""Helpers of the healer's unit tests."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from services.healer.clients.base import Context
from services.healer.clients.files import FileCopy, digest
from shared.packs.component import Component


def stubborn(tmp_path: Path) -> tuple[str, ...]:
    """A program that ignores SIGTERM and says when it is ready to do so."""
    ready = tmp_path / "ready"
    body = (
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(600)\n"
    )
    return (sys.executable, "-S", "-c", body)


async def nothing_good(_path: str, _sha256: str) -> FileCopy | None:
    return None


async def no_blob(sha256: str) -> bytes:
    raise KeyError(sha256)


@dataclass
class Drawer:
    """Where one step keeps what it is about to change."""

    content: bytes | None = None
    times: int = 0

    async def keep(self, content: bytes) -> None:
        self.content, self.times = content, self.times + 1

    async def kept(self) -> bytes | None:
        return self.content


def context_of(component: Component | None = None, drawer: Drawer | None = None, key: str = "run/0") -> Context:
    """What an actuator knows of a run, where nothing but itself is tested."""
    drawer = drawer or Drawer()
    return Context(
        component="web",
        target=component or Component(),
        key=key,
        timeout_s=5,
        http_hosts=(),
        last_good=nothing_good,
        blob=no_blob,
        keep=drawer.keep,
        kept=drawer.kept,
    )


def good_version(
    copy: FileCopy,
) -> tuple[Callable[[str, str], Awaitable[FileCopy | None]], Callable[[str], Awaitable[bytes]]]:
    """A vault that knows one good version."""

    async def last_good(path: str, sha256: str) -> FileCopy | None:
        return copy if (path, sha256) != (copy.state.path, copy.state.sha256) and path == copy.state.path else None

    async def blob(sha256: str) -> bytes:
        assert sha256 == digest(copy.content)
        return copy.content

    return last_good, blob
