"""The errors an operator may meet when the embedded servers cannot run: each names what, where and the remedy."""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """Base of every error the embedded servers raise on purpose."""


class DataDirError(EmbeddedError):
    """The data directory cannot be used; the message says why and how to mend it."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"data directory {path}: {problem}. {remedy}")
        self.path = path


class PortInUseError(EmbeddedError):
    """A server's port is held by another program."""

    def __init__(self, name: str, port: int, owner: str | None, remedy: str) -> None:
        held_by = owner or "a process that could not be identified"
        super().__init__(f"port {port} of {name} on 127.0.0.1 is in use by {held_by}. {remedy}")
        self.port = port
        self.owner = owner


class ChildFailedError(EmbeddedError):
    """A supervised process did not reach its running state; carries the last lines that it logged."""

    def __init__(self, name: str, reason: str, log_path: Path, log_lines: tuple[str, ...]) -> None:
        said = "".join(f"\n  | {line}" for line in log_lines) or "\n  | (it logged nothing)"
        super().__init__(f"{name} did not start: {reason}. Its log is {log_path}; the last lines:{said}")
        self.name = name
        self.reason = reason
        self.log_lines = log_lines


class ServerSetupError(EmbeddedError):
    """A server's binaries or its stored data cannot be used; the message says why and how to mend it."""
