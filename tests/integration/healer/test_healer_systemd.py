"""systemd.* and docker.stop on the real things: a container in which systemd is the first process, on a Docker engine.

`systemctl` is the container's own: the one on this test's PATH only carries the command there.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from services.healer.clients.base import ActuatorError, Context, IrreversibleError
from services.healer.clients.docker_actuators import DockerRestart, DockerStart, DockerStop
from services.healer.clients.systemd_actuators import UnitReload, UnitRestart, UnitStart, UnitStop
from shared.packs.actions.programs import DockerAction, SystemdUnit
from tests.unit.healer.helpers import context_of

pytestmark = pytest.mark.containers

type Eventually = Callable[..., Awaitable[None]]
IMAGE = os.environ.get("HOMEOSTAT_TEST_IMAGE", "debian:trixie-slim")
DOCKERFILE = f"""
FROM {IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd dbus >/dev/null
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
"""
UNIT = """
[Service]
ExecStart=/bin/sh -c 'echo started >> /var/web.log; exec sleep infinity'
ExecReload=/bin/sh -c 'echo reloaded >> /var/web.log'
"""


def docker(*arguments: str, stdin: str = "") -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240, input=stdin).stdout.strip()


@dataclass(frozen=True)
class Machine:
    """A container that systemd runs."""

    name: str

    def sh(self, script: str, stdin: str = "") -> str:
        return docker("exec", "-i", self.name, "sh", "-c", script, stdin=stdin)

    @property
    def log(self) -> list[str]:
        return self.sh("cat /var/web.log 2>/dev/null || true").split()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    image, name = "homeostat-test-systemd", f"homeostat-test-{uuid4().hex[:8]}"
    docker("build", "--quiet", "--network", "host", "--tag", image, "-", stdin=DOCKERFILE)
    docker("run", "-d", "--privileged", "--cgroupns", "private", "--tmpfs", "/run", "--name", name, image)
    made = Machine(name)
    shim = tmp_path_factory.mktemp("bin") / "systemctl"
    shim.write_text(f'#!/bin/sh\nexec docker exec {name} systemctl "$@"\n')
    shim.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{shim.parent}:{path}"
    try:
        # it answers once it is up, whatever units of the image don't work in a container
        made.sh("for n in $(seq 100); do systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded' "
                "&& exit 0; sleep 0.2; done; systemctl is-system-running; exit 1")  # fmt: skip
        made.sh("cat > /etc/systemd/system/web.service && systemctl daemon-reload", stdin=UNIT)
        yield made
    finally:
        os.environ["PATH"] = path
        docker("rm", "-f", name)


@pytest.fixture
def web(machine: Machine) -> Machine:
    machine.sh("systemctl stop web.service; rm -f /var/web.log; systemctl start web.service")
    return machine


CONTEXT: Context = replace(context_of(), timeout_s=30)
WEB = SystemdUnit(unit="web.service")


async def test_a_unit_is_restarted_once(web: Machine) -> None:
    step = UnitRestart(CONTEXT, WEB)
    seen = await step.observe()
    assert step.describe(seen) == "restart web.service (active (running))"
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    assert web.log == ["started", "started"]
    with pytest.raises(IrreversibleError):
        await step.undo(seen, await step.observe(), files_restored=False)
    assert (await step.undo(seen, await step.observe(), files_restored=True)).changed
    assert len(web.log) == 3


async def test_a_unit_is_stopped_and_started_again(web: Machine) -> None:
    step = UnitStop(CONTEXT, WEB)
    seen = await step.observe()
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    assert web.sh("systemctl is-active web.service || true") == "inactive"
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert web.sh("systemctl is-active web.service") == "active"


async def test_a_start_is_never_undone_by_stopping(web: Machine) -> None:
    web.sh("systemctl stop web.service")
    step = UnitStart(CONTEXT, WEB)
    seen = await step.observe()
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    with pytest.raises(IrreversibleError, match="left running"):
        await step.undo(seen, await step.observe(), files_restored=False)
    assert web.sh("systemctl is-active web.service") == "active"


async def test_a_unit_reads_its_files_again(web: Machine) -> None:
    step = UnitReload(CONTEXT, WEB)
    seen = await step.observe()
    await step.apply(seen)
    await step.undo(seen, seen, files_restored=True)
    assert web.log == ["started", "reloaded", "reloaded"]
    web.sh("systemctl stop web.service")
    with pytest.raises(ActuatorError, match="systemctl reload web"):
        await step.apply(seen)


async def test_a_unit_that_is_not_there_is_named(web: Machine) -> None:
    with pytest.raises(ActuatorError, match=r"unit gone\.service is not-found"):
        await UnitRestart(CONTEXT, SystemdUnit(unit="gone.service")).observe()


async def test_a_container_is_stopped_and_started_again_by_a_real_engine(
    tmp_path: Path, eventually: Eventually
) -> None:
    name = f"homeostat-test-{uuid4().hex[:8]}"
    await asyncio.to_thread(docker, "run", "-d", "--init", "--name", name, IMAGE, "sleep", "600")
    try:
        action = DockerAction(container=name)
        stop, restart = DockerStop(CONTEXT, action), DockerRestart(CONTEXT, action)
        seen = await stop.observe()
        assert (await stop.apply(seen)).changed
        assert not (await stop.apply(seen)).changed
        assert not (await stop.observe())["running"]
        assert (await stop.undo(seen, await stop.observe(), files_restored=False)).changed
        assert (await stop.observe())["running"]
        seen = await restart.observe()
        assert (await restart.apply(seen)).changed
        assert not (await restart.apply(seen)).changed
        assert not (await DockerStart(CONTEXT, action).apply(seen)).changed
    finally:
        await asyncio.to_thread(docker, "rm", "-f", name)
