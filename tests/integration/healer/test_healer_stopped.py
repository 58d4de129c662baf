"""`homeostat stop-acting` holds before the next step while the gateway, NATS or PostgreSQL is down: processes that were
really stopped, in the middle of a run. `resume-acting` lets the next one act."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.provision import nats_users, provision_database, provision_streams
from services.healer.app import build
from services.healer.settings import Settings
from shared.contracts.healer import Result
from shared.embedded import EmbeddedServers
from shared.settings import SERVICES
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, playbook, until
from tests.integration.test_gateway import started

SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}
QUICK = {"window_s": 0.2, "clear": "none"}


@dataclass
class Gate:
    """A step of a run that lasts until it is opened."""

    port: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.reached.set()
        await self.opened.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    @property
    def step(self) -> dict[str, object]:
        return {"http.call": {"url": f"http://127.0.0.1:{self.port}/"}}


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    made = Gate()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.opened.set()
    server.close()


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Servers of this module's own: others must not see them stop."""
    folder = tmp_path_factory.mktemp("stopped")
    folder.chmod(0o755)
    async with EmbeddedServers(folder / "data", nats_users=nats_users(())) as servers:
        dsn, secrets = make_url(servers.postgres.superuser_dsn), servers.data_dir.secret
        await asyncio.to_thread(provision_database, dsn, {name: secrets(f"postgres.{name}") for name in SERVICES})
        await provision_streams(
            "nats://" + servers.nats_url("admin").rpartition("@")[2], "admin", secrets("nats.admin")
        )
        yield Platform(servers, dsn.database or "postgres")


type Down = Callable[[Platform], Awaitable[Callable[[], Awaitable[None]]]]
"""Stops something, and gives what starts it again."""


async def gateway_down(own: Platform) -> Callable[[], Awaitable[None]]:
    """One that was up."""
    async with started(own) as gateway:
        assert (await gateway.client.get("/api/packs")).status_code == httpx.codes.OK
        url = gateway.url
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)

    async def stays_down() -> None: ...

    return stays_down


async def nats_down(own: Platform) -> Callable[[], Awaitable[None]]:
    return await _server_down(own, "nats")


async def postgres_down(own: Platform) -> Callable[[], Awaitable[None]]:
    return await _server_down(own, "postgres")


async def _server_down(own: Platform, name: str) -> Callable[[], Awaitable[None]]:
    servers = own.servers
    assert isinstance(servers, EmbeddedServers)
    await servers.supervisor.stop_child(name)

    async def start() -> None:
        servers.supervisor.start(servers.nats.child() if name == "nats" else servers.postgres.child())
        await servers.wait_ready()

    return start


@asynccontextmanager
async def healer(own: Platform, switch: Path) -> AsyncIterator[None]:
    service = build(own.settings(Settings, kill_switch_file=switch))
    await service.start()
    try:
        yield
    finally:
        await service.stop()


async def homeostat(command: str, data_dir: Path) -> None:
    """As a person would, who knows only the data directory."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [command, "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("goes_down", [gateway_down, nats_down, postgres_down])
async def test_nothing_more_is_touched_whatever_is_down(
    own: Platform, world: World, gate: Gate, tmp_path: Path, goes_down: Down
) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "run").mkdir(parents=True)
    client = await own.connect_nats()
    listener = Listener(own, client)
    async with healer(own, data_dir / "run" / "kill-switch"):
        order = decision(world, playbook(gate.step, SET, validate=QUICK))
        await listener.publish(order)
        await until(gate.reached.is_set)
        comes_back = await goes_down(own)
        try:
            await homeostat("stop-acting", data_dir)
            gate.opened.set()  # the first step ends: what was begun is not torn off
        finally:
            await comes_back()
        outcome = await listener.outcome(order.decision_id)
        assert outcome.result is Result.FAILED
        assert "kill switch" in outcome.reason
        assert world.config.read_bytes() == CONFIG, "the second step was not begun"

        await homeostat("resume-acting", data_dir)
        order = decision(world, playbook(SET, validate=QUICK))
        await listener.publish(order)
        assert (await listener.outcome(order.decision_id)).result is Result.SUCCEEDED
        assert world.config.read_bytes() != CONFIG
    await client.close()
