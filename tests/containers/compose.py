"""A deployment from compose.yaml under a name of its own, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

IMAGE = "homeostat:test"
UP_DEADLINE_S = 600


class ComposeError(Exception):
    """A command of compose failed; the text has its output."""


def engine_answers() -> bool:
    """Whether there is a Docker engine that this user may speak to."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20).returncode == 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def run(*command: str, timeout_s: float = 120, env: dict[str, str] | None = None) -> str:
    """Standard output of a command that succeeds. Raises ComposeError with all its output otherwise."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode != 0:
        raise ComposeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Deployment:
    """One project of compose."""

    secrets: Path
    profiles: tuple[str, ...] = ()
    project: str = field(default_factory=lambda: f"homeostat-test-{uuid4().hex[:8]}")
    port: int = field(default_factory=free_port)
    nats_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.secrets / "gateway-admin-token").read_text()

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def compose(self, *arguments: str, timeout_s: float = 120) -> str:
        profiles = [part for profile in self.profiles for part in ("--profile", profile)]
        env = {
            "HOMEOSTAT_IMAGE": IMAGE,
            "HOMEOSTAT_PORT": str(self.port),
            "HOMEOSTAT_NATS_PORT": str(self.nats_port),
            "HOMEOSTAT_SECRETS": str(self.secrets),
            "SHOP_LOAD_RATE": "10",
        }
        command = ("docker", "compose", "--project-name", self.project, *profiles, *arguments)
        return run(*command, timeout_s=timeout_s, env=env)

    def up(self) -> None:
        """From nothing to everything ready. Raises ComposeError with the logs of what didn't start."""
        run("sh", "deploy/make-secrets.sh", str(self.secrets))
        self.compose("build", timeout_s=UP_DEADLINE_S)
        try:
            self.compose("up", "--wait", timeout_s=UP_DEADLINE_S)
        except ComposeError as error:
            raise ComposeError(f"{error}\n{self.compose('logs', '--tail=15')}") from None

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=5")

    def inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", self.container(service)))
        return found[0]

    def state(self, service: str) -> dict[str, Any]:
        state: dict[str, Any] = self.inspect(service)["State"]
        return state

    def services(self) -> list[str]:
        """Names of all services of the chosen profiles."""
        return self.compose("config", "--services").split()

    def kill(self, service: str) -> None:
        run("docker", "kill", self.container(service))

    def execute(self, service: str, *command: str) -> str:
        return run("docker", "exec", self.container(service), *command)


def eventually[T](condition: Callable[[], T], within_s: float, every_s: float = 0.5) -> T:
    """What `condition` gives once it gives something true. Raises AssertionError after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(every_s)
    return result
