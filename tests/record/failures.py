"""What a recording is made of: a system with its pack, and the ways in which it is broken and mended."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.base import Category, Severity

type Mend = Callable[[], object]


@dataclass(frozen=True)
class Failure:
    """`strike` breaks it and returns what mends it; `hold_s`: how long it stays broken."""

    name: str
    component: str
    causes: tuple[Category, ...]
    strike: Callable[[], Mend]
    hold_s: float = 90.0
    severity: Severity | None = None
    also: tuple[str, ...] = ()


@dataclass
class System:
    """Programs that run, the pack that watches them, and their failures in turn."""

    pack: dict[str, Any]
    failures: Sequence[Failure]
    environment: dict[str, str] = field(default_factory=dict)
    """Secrets that its probes name."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def sh(*command: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()
