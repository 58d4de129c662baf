"""Containers on a Docker engine, cared for beside the shop: small servers that answer, or say that they can't."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from services.cli.bench.faults.pack import changed
from shared.packs import Pack

IMAGE = "python:3.13-slim"
NAMES = ("basket", "mail")
"""Components that are containers."""
START_WITHIN_S = 30.0
SERVER = """
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists("/ill") else 200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
if os.path.exists("/ill"): os.remove("/ill")
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
"""
CHECK = "python -c \"import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/', timeout=2)\""


class EngineError(Exception):
    """A command of the engine failed; the text has its output."""


def engine_socket() -> str:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return address.removeprefix("unix://")


def engine_answers() -> bool:
    """Whether there is a Docker engine on a socket of this machine that this user may speak to."""
    if shutil.which("docker") is None or not os.path.exists(engine_socket()):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20).returncode == 0


def docker(*arguments: str) -> str:
    """Standard output of a command that succeeds. Raises EngineError otherwise."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise EngineError(f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def state_of(container: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", container))
    return state


@dataclass(frozen=True, slots=True)
class Fleet:
    """One container for each name; `prefix` tells those of one run from others'."""

    prefix: str

    def container(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def create(self, name: str) -> None:
        health = ("--health-cmd", CHECK, "--health-interval", "2s", "--health-retries", "2", "--health-timeout", "10s")
        limits = ("--memory", "128m", "--memory-swap", "128m", "--pids-limit", "64", "--network", "bridge")
        command = (IMAGE, "python", "-c", SERVER)
        docker("run", "--detach", "--name", self.container(name), *health, *limits, *command)

    def problems(self) -> list[str]:
        found = []
        for name in NAMES:
            try:
                state = state_of(self.container(name))
            except EngineError:
                found.append(f"container {name} is gone")
                continue
            health = state.get("Health", {}).get("Status")
            if state["Status"] != "running" or health != "healthy":
                found.append(f"container {name} is {state['Status']} and {health}")
        return found

    def mend(self) -> None:
        for problem in self.problems():
            name = problem.split()[1]
            subprocess.run(["docker", "rm", "--force", self.container(name)], capture_output=True, check=False)
            self.create(name)

    def adapted(self) -> Callable[[Pack], Pack]:
        """The pack, with the containers in it."""
        return changed(self._into)

    def _into(self, body: dict[str, Any]) -> None:
        socket = engine_socket()
        for name in NAMES:
            body["components"][name] = {"kind": "container", "container": self.container(name), "criticality": "low"}
            probe = {"container": self.container(name), "socket": socket}
            body["probes"].append({"component": name, "every_s": 1, "docker": probe})
        common = {
            "components": list(NAMES),
            "automation_level": "full-auto",
            "rollback": "none",
            "cooldown_s": 0,
            "validate": {"window_s": 5, "clear": "incident", "error_count_after": 0},
            "then": "page-a-human",
        }
        ill = ["hang", "unknown", "dependency-failure"]
        body["playbooks"]["start-exited"] = {
            **common,
            "for": ["crash"],
            "steps": [{"docker.start": {"socket": socket}}],
        }
        body["playbooks"]["restart-container"] = {
            **common,
            "for": ill,
            "steps": [{"docker.restart": {"socket": socket}}],
        }


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    """All containers, healthy; removed at the end whatever came of them. Raises EngineError."""
    made = Fleet(f"homeostat-faults-{uuid4().hex[:8]}")
    try:
        for name in NAMES:
            await asyncio.to_thread(made.create, name)
        deadline = asyncio.get_running_loop().time() + START_WITHIN_S
        while problems := await asyncio.to_thread(made.problems):
            if asyncio.get_running_loop().time() > deadline:
                raise EngineError(f"not up within {START_WITHIN_S:g} s: {'; '.join(problems)}")
            await asyncio.sleep(0.3)
        yield made
    finally:
        names = [made.container(name) for name in NAMES]
        await asyncio.to_thread(subprocess.run, ["docker", "rm", "--force", *names], capture_output=True, check=False)
