"""Runs whose hands are on another host: a real agent in a process of its own, killed, away, and disobedient."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml

from services.healer.app import build
from services.healer.settings import Settings
from shared.contracts.agent import AgentOrder, order_subject
from shared.contracts.healer import AgentList, ListAgents, Result
from shared.packs.component import Component
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, playbook, until

ROOT = Path(__file__).parents[3]
SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}
RESTART: dict[str, object] = {"process.restart": {}}


@asynccontextmanager
async def healer(platform: Platform) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


class Agent:
    """`homeostat agent`, as it runs on another host."""

    def __init__(self, platform: Platform, folder: Path, world: World, name: str = "web-2") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        allow = {
            "actuators": ["file.*", "config.step", "process.*"],
            "paths": [str(world.config.resolve())],
            "processes": [world.process.model_dump(mode="json")],
        }
        (folder / "allow.yaml").write_text(yaml.safe_dump(allow))
        (folder / "password").write_text(platform.servers.data_dir.secret(f"nats.agent-{name}"))
        address = "nats://" + platform.servers.nats_url("admin").rpartition("@")[2]
        self.log = folder / "agent.log"
        self._command = [sys.executable, "-m", "services.cli", "agent", "--name", name, "--nats", address]
        self._command += ["--allow", str(folder / "allow.yaml"), "--password-file", str(folder / "password")]
        self._command += ["--data-dir", str(folder / "data")]

    async def __aenter__(self) -> Agent:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, stdout=output, stderr=output, env=environment
            )
        await until(lambda: "agent ready" in self.log.read_text(), within_s=60)
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()
        self.log.unlink()


def there(world: World) -> World:
    world.component = world.component.model_copy(update={"host": "web-2"})
    return world


async def test_a_file_and_a_process_on_another_host_are_mended_and_put_back(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    old = await world.start()
    async with healer(platform), Agent(platform, tmp_path / "web-2", world):
        helped = decision(there(world), playbook(SET, RESTART, validate={"window_s": 0.2, "clear": "none"}))
        await listener.publish(helped)
        outcome = await listener.outcome(helped.decision_id, within_s=60)
        assert outcome.result is Result.SUCCEEDED, outcome.reason
        assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")
        assert not old.is_alive
        assert len(world.running()) == 1
        # and one whose last step fails: what was done is taken back there
        wrong = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 7}}
        fails = {"http.call": {"url": "http://127.0.0.1:9/"}}
        hurt = decision(world, playbook(wrong, fails))
        await listener.publish(hurt)
        undone = await listener.outcome(hurt.decision_id, within_s=60)
        assert undone.result is not Result.SUCCEEDED
        assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")
        agents = await listener.ask("agents", ListAgents(), AgentList)
        assert [(one.name, one.away) for one in agents.agents] == [("web-2", False)]


async def test_an_agent_killed_in_the_middle_is_asked_again_and_acts_once(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    """The process takes its time to end: the agent dies in between, and another one goes on."""
    slow = f"trap 'sleep 2; exit' TERM; echo $$ >> {world.starts}; while :; do sleep 0.05; done"
    process = world.process.model_copy(update={"command": ("sh", "-c", slow)})
    world.component = world.component.model_copy(update={"process": process})
    old = await world.start()
    folder = tmp_path / "web-2"
    async with healer(platform):
        order = decision(there(world), playbook({**RESTART, "timeout_s": 60}))
        async with Agent(platform, folder, world) as first:
            await listener.publish(order)
            await listener.recorded(order.decision_id, "plan")
            await until(lambda: "TERM" in _pending(old.pid) or not old.is_alive, within_s=60)
            await first.kill()
        async with Agent(platform, folder, world):
            outcome = await listener.outcome(order.decision_id, within_s=90)
    assert outcome.result is Result.SUCCEEDED, outcome.reason
    assert world.started_times() == 2, "once at first, and once by the restart"
    assert len(world.running()) == 1


def _pending(pid: int) -> str:
    """`TERM` once the shell handles the signal: it then has a `sleep 2` for a child."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        for child in children.read_text().split():
            if b"sleep\x002" in Path(f"/proc/{child}/cmdline").read_bytes():
                return "TERM"
    return ""


async def test_what_its_allow_list_does_not_name_is_refused_with_one_clear_error(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.toml"
    secret.write_bytes(CONFIG)
    async with healer(platform), Agent(platform, tmp_path / "web-2", world):
        step = {"file.set": {"path": str(secret), "key": "upstream.timeout_ms", "value": 1}}
        order = decision(there(world), playbook(step))
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id, within_s=60)
    assert outcome.result is Result.FAILED
    wanted = f"agent web-2: {secret.resolve()} is not in `paths` of the agent's allow-list"
    assert outcome.reason == f"plan-failed: can't be done: {wanted}"
    assert secret.read_bytes() == CONFIG


async def test_an_agent_that_is_away_is_an_error_and_not_a_hang(
    platform: Platform, listener: Listener, world: World
) -> None:
    async with healer(platform):
        order = decision(there(world), playbook(SET))
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id, within_s=60)
    assert outcome.result is Result.FAILED
    assert "the agent web-2 did not answer within 5 s: start `homeostat agent --name web-2`" in outcome.reason


@pytest.mark.parametrize("user", ["publisher", "decider", "gateway", "agent-db-1"])
async def test_nobody_but_the_healer_may_command_an_agent(
    platform: Platform, world: World, tmp_path: Path, user: str
) -> None:
    errors: list[str] = []

    async def noted(error: Exception) -> None:
        errors.append(str(error))

    values: dict[str, Any] = {"key": "x/0", "verb": "read", "component": "web", "target": Component()}
    body = AgentOrder.model_validate(values).model_dump_json().encode()
    client = await nats.connect(platform.servers.nats_url(user), error_cb=noted, inbox_prefix=f"_INBOX.{user}".encode())
    try:
        await client.publish(order_subject("web-2"), body)
        await client.publish("agent.all.switch", b"on")
        await until(lambda: sum("permissions violation" in error.lower() for error in errors) >= 2)
    finally:
        await client.close()
