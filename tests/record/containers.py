"""Containers of small programs, one of which is broken at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from shared.contracts.base import Category, Severity
from tests.record.failures import Failure, Mend, System, sh

IMAGE = "python:3.13-slim"
SERVE = ("python", "-m", "http.server", "8000")
ASK = "python -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/', timeout=1)\""
HUNGRY = "import time\nkept = []\nwhile True:\n    kept.append('x' * 4_000_000); time.sleep(0.2)"
NAMES = ("web", "mail", "search", "reports")


class Container:
    """A container that is made anew by each start."""

    def __init__(self, name: str, project: str, *options: str, command: tuple[str, ...] = SERVE) -> None:
        self.name = f"{project}-{name}"
        self._make = ("docker", "run", "--detach", "--name", self.name, *options, IMAGE)
        self._command = command
        self.start(*command)

    def start(self, *command: str) -> None:
        sh(*self._make, *command)

    def remove(self) -> None:
        sh("docker", "rm", "--force", self.name)

    def become(self, *command: str) -> Mend:
        """The same container with another program."""
        self.remove()
        self.start(*command)

        def mend() -> None:
            self.remove()
            self.start(*self._command)

        return mend

    def kill(self) -> Mend:
        sh("docker", "kill", self.name)
        return lambda: sh("docker", "start", self.name)

    def pause(self) -> Mend:
        sh("docker", "pause", self.name)
        return lambda: sh("docker", "unpause", self.name)

    def fail_health(self) -> Mend:
        """The program is suspended, and the container runs on: its health check fails."""
        sh("docker", "exec", self.name, "python", "-c", "import os; os.kill(int(open('/tmp/pid').read()), 19)")
        return lambda: sh("docker", "restart", "--time", "0", self.name)


@contextmanager
def system(_folder: Path) -> Iterator[System]:
    project = f"record-{token_hex(3)}"
    checked = ("--health-cmd", ASK, "--health-interval", "3s", "--health-timeout", "2s", "--health-retries", "2")
    under_sh = ("sh", "-c", "python -m http.server 8000 & echo $! > /tmp/pid; while true; do sleep 1; done")
    web = Container("web", project)
    mail = Container("mail", project, "--restart", "on-failure")
    search = Container("search", project, *checked, command=under_sh)
    reports = Container("reports", project, "--memory", "64m", "--memory-swap", "64m")
    pack = {
        "pack": "boxes",
        "components": {name: {"kind": "container"} for name in NAMES},
        "probes": [
            {"component": name, "every_s": 3, "docker": {"container": f"{project}-{name}", "logs": True}}
            for name in NAMES
        ],
    }
    fails = ("python", "-c", "raise SystemExit('no mail server is configured')")
    critical = Severity.CRITICAL
    exhausted = (Category.RESOURCE_EXHAUSTION,)
    try:
        yield System(
            pack,
            (
                Failure("container-killed", "web", (Category.CRASH,), web.kill, severity=critical),
                Failure("container-paused", "web", (Category.HANG,), web.pause),
                Failure("container-unhealthy", "search", (Category.HANG,), search.fail_health, 120),
                Failure(
                    *("container-out-of-memory", "reports", exhausted),
                    lambda: reports.become("python", "-c", HUNGRY),
                    severity=critical,
                ),
                Failure("container-crash-loop", "mail", (Category.CRASH_LOOP,), lambda: mail.become(*fails), 120),
            ),
        )
    finally:
        for name in NAMES:
            sh("docker", "rm", "--force", f"{project}-{name}")
