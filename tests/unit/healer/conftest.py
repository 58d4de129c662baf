"""Real processes and files for the healer's actuators, all of them gone after each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.healer.clients.base import Context
from services.healer.clients.processes import ProcessError, from_pid_file, heir_of, send
from services.healer.clients.spawn import Spawner, lock_path
from shared.packs.component import Component, Process
from tests.unit.healer.helpers import Drawer, no_blob, nothing_good


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A declared process that sleeps; whatever runs of it at the end of the test is killed."""
    declared = Process(
        command=("sleep", "600"),
        pid_file=str(tmp_path / "run" / "web.pid"),
        log_file=str(tmp_path / "web.log"),
        stop_timeout_s=5,
    )
    yield declared
    with suppress(ProcessError):
        for found in (heir_of(lock_path(declared)), from_pid_file(declared.pid_file)):
            if found is not None:
                send(found, signal.SIGKILL)


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    made = Spawner(dict(os.environ))
    yield made
    made.reap()


@pytest.fixture
def drawer() -> Drawer:
    return Drawer()


@pytest.fixture
def context(process: Process, drawer: Drawer) -> Context:
    return Context(
        component="web",
        target=Component(process=process),
        key="00000000-0000-0000-0000-000000000001/0",
        timeout_s=5,
        http_hosts=("127.0.0.1",),
        last_good=nothing_good,
        blob=no_blob,
        keep=drawer.keep,
        kept=drawer.kept,
    )
