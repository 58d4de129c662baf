"""What an agent does of what it is asked: allowed, not stale, not switched off, and once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.agent.allow import Allow, AllowError, read_allow
from services.agent.journal import Journal
from services.agent.orders import Orders
from services.healer.clients.spawn import Spawner
from shared.contracts.agent import AgentOrder, FileContent
from shared.packs.component import Component
from shared.packs.playbook import Step

OLD, NEW = "timeout_ms = 800\n", "timeout_ms = 1200\n"


@dataclass
class Host:
    """Another host: a configuration file, and what its agent may do."""

    folder: Path
    off: bool = False

    def __post_init__(self) -> None:
        self.config.parent.mkdir()
        self.config.write_text(OLD)
        self.restarted()

    @property
    def config(self) -> Path:
        return self.folder / "etc" / "app.toml"

    def restarted(self) -> None:
        """The agent is another process now, with the same journal."""
        allow = Allow(actuators=("file.set",), paths=(str(self.folder.resolve() / "etc" / "*"),))
        journal = Journal(self.folder / "agent" / "journal.sqlite")
        self.orders = Orders(allow, journal, Spawner(dict(os.environ)), lambda: self.off)

    def order(self, verb: str = "apply", fence: int = 7, path: Path | None = None, **more: object) -> AgentOrder:
        step = {"file.set": {"path": str(path or self.config), "key": "timeout_ms", "value": 1200}}
        values = {
            "key": "d1/0",
            "verb": verb,
            "fence": fence,
            "component": "web",
            "target": Component(),
            "step": Step.model_validate(step),
            **more,
        }
        return AgentOrder.model_validate(values)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.orders.journal.close()


async def test_a_repeated_order_is_answered_and_not_done_again(host: Host) -> None:
    seen = (await host.orders.carry_out(host.order("observe"))).facts
    first = await host.orders.carry_out(host.order(seen=seen))
    assert (first.error, host.config.read_text()) == ("", NEW)
    host.config.write_text(OLD)  # somebody's change after it, which a repetition must not undo
    host.orders.journal.close()
    host.restarted()
    again = await host.orders.carry_out(host.order(seen=seen, fence=8))
    assert (again, host.config.read_text()) == (first, OLD)


async def test_a_stale_healer_can_do_nothing_and_still_look(host: Host) -> None:
    seen = (await host.orders.carry_out(host.order("observe"))).facts
    await host.orders.carry_out(host.order(seen=seen, fence=9, key="d0/0", path=host.folder / "elsewhere"))
    stale = await host.orders.carry_out(host.order(seen=seen, fence=8))
    assert stale.error == "stale: fence 8 of web is older than 9"
    assert host.config.read_text() == OLD
    assert not (await host.orders.carry_out(host.order("observe", fence=0))).error


async def test_the_kill_switch_of_its_own_host_holds(host: Host) -> None:
    seen = (await host.orders.carry_out(host.order("observe"))).facts
    host.off = True
    assert (await host.orders.carry_out(host.order(seen=seen))).error == "the kill switch is on"
    assert host.config.read_text() == OLD
    host.off = False
    assert not (await host.orders.carry_out(host.order(seen=seen))).error


@pytest.mark.parametrize("way", ["straight", "around", "by a link"])
async def test_only_named_files_are_touched_or_read(host: Host, way: str) -> None:
    secret = host.folder / "secret.toml"
    secret.write_text(OLD)
    link = host.folder / "etc" / "link.toml"
    link.symlink_to(secret)
    around = host.folder / "etc" / ".." / "secret.toml"
    path = {"straight": secret, "around": around, "by a link": link}[way]
    wanted = f"{secret.resolve()} is not in `paths` of the agent's allow-list"
    assert (await host.orders.carry_out(host.order("observe", path=path))).error == wanted
    read = host.order("read", file=FileContent(path=str(path), sha256=""))
    assert (await host.orders.carry_out(read)).error == wanted
    assert (await host.orders.carry_out(host.order(path=path, seen={}))).error == wanted


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"process.restart": {}}, "process.restart is not in `actuators`"),
        ({"docker.restart": {"container": "web"}}, "docker.restart is not in `actuators`"),
    ],
)
async def test_only_named_actuators_act(host: Host, step: dict[str, object], words: str) -> None:
    target = Component.model_validate({"process": {"command": ["true"], "pid_file": "/run/x.pid"}})
    order = host.order(step=Step.model_validate(step), target=target)
    assert words in (await host.orders.carry_out(order)).error


async def test_a_process_must_be_declared_word_for_word(host: Host) -> None:
    """The healer sends the command with its order: without this it could start anything."""
    mine = Component.model_validate({"process": {"command": ["sleep", "1"], "pid_file": "/run/x.pid"}})
    theirs = Component.model_validate({"process": {"command": ["sh", "-c", "evil"], "pid_file": "/run/x.pid"}})
    assert mine.process is not None
    allow = Allow(actuators=("process.*",), processes=(mine.process,))
    host.orders.allow = allow
    order = host.order("observe", step=Step.model_validate({"process.restart": {}}), target=theirs)
    assert "not in `processes`" in (await host.orders.carry_out(order)).error


@pytest.mark.parametrize("text", ["actuators: []", "paths: [/etc/*]", "actuators: [x]\nfoo: 1", ": ["])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "allow.yaml"
    file.write_text(text)
    with pytest.raises(AllowError, match=str(file)):
        read_allow(file)
