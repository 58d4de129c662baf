"""Real NATS and PostgreSQL for every test that asks for `platform`: started once, made new for each test."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import hypothesis
import nats
import pytest
from nats.aio.client import Client
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from services.cli.provision import create_roles, nats_users, provision_streams
from shared.bus.streams import DLQ, EVENTS, INGEST, STATE
from shared.db import migrate
from shared.embedded import EmbeddedServers
from shared.settings import SERVICES, ServiceSettings
from tests.containers.servers import ContainerServers, container_servers

TEMPLATE = "homeostat_template"
AGENTS = ("web-2", "db-1")


def pytest_configure() -> None:
    """Interrupts reach what the tests start, even when the tests run in a script's background or under `nohup`."""
    for name in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(name) is signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler)
    hypothesis.settings.register_profile("unhurried", deadline=None)  # how long an example takes says nothing of it
    hypothesis.settings.load_profile("unhurried")


@dataclass(frozen=True)
class Platform:
    """A NATS server with empty streams and a database with every service's tables, empty."""

    servers: EmbeddedServers | ContainerServers
    database: str

    def settings[S: ServiceSettings](self, kind: type[S], **more: object) -> S:
        """Settings of one service for this platform."""
        name = kind.SERVICE
        dsn = make_url(self.servers.postgres.superuser_dsn)
        return kind(
            nats_url=self._nats_address(),
            nats_password=SecretStr(self.servers.data_dir.secret(f"nats.{name}")),
            postgres_host=dsn.host or "127.0.0.1",
            postgres_port=dsn.port or 5432,
            postgres_database=self.database,
            postgres_password=SecretStr(self.role_password(name)),
            **more,  # type: ignore[arg-type]
        )

    def role_password(self, role: str) -> str:
        return self.servers.data_dir.secret(f"postgres.{role}")

    def dsn(self, role: str = "postgres") -> str:
        url = make_url(self.servers.postgres.superuser_dsn).set(database=self.database)
        if role != "postgres":
            url = url.set(username=role, password=self.role_password(role))
        return url.render_as_string(hide_password=False)

    async def connect_nats(self, user: str = "admin") -> Client:
        return await nats.connect(self.servers.nats_url(user), inbox_prefix=f"_INBOX.{user}".encode())

    async def connect_postgres(self, role: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(self.dsn(role))

    def _nats_address(self) -> str:
        return "nats://" + self.servers.nats_url("admin").rpartition("@")[2]


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[EmbeddedServers | ContainerServers]:
    """The embedded servers; with HOMEOSTAT_TEST_SERVERS=containers those of the images that compose.yaml names."""
    if os.environ.get("HOMEOSTAT_TEST_SERVERS") == "containers":
        with container_servers(nats_users(AGENTS)) as containers:
            secrets = {service: containers.data_dir.secret(f"postgres.{service}") for service in SERVICES}
            await asyncio.to_thread(_make_template, containers.postgres.superuser_dsn, secrets)
            yield containers
        return
    with tempfile.TemporaryDirectory(prefix="homeostat-tests-") as folder:
        os.chmod(folder, 0o755)
        async with EmbeddedServers(Path(folder) / "data", nats_users=nats_users(AGENTS)) as started:
            passwords = {service: started.data_dir.secret(f"postgres.{service}") for service in SERVICES}
            await asyncio.to_thread(_make_template, started.postgres.superuser_dsn, passwords)
            yield started


def _make_template(dsn: str, passwords: dict[str, str]) -> None:
    admin = make_url(dsn).set(drivername="postgresql+psycopg")
    with create_engine(admin, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"create database {TEMPLATE}")
    template = admin.set(database=TEMPLATE)
    with create_engine(template, poolclass=NullPool).begin() as connection:
        create_roles(connection, passwords)
    for service in SERVICES:
        own = template.set(username=service, password=passwords[service])
        with create_engine(own, poolclass=NullPool).connect() as connection:
            migrate(service, connection)
            connection.commit()


@pytest.fixture
async def platform(servers: EmbeddedServers | ContainerServers) -> AsyncIterator[Platform]:
    database = f"test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(servers.postgres.superuser_dsn)
    await admin.execute(f"create database {database} template {TEMPLATE}")
    address = "nats://" + servers.nats_url("admin").rpartition("@")[2]
    client = await nats.connect(servers.nats_url("admin"))
    for stream in (INGEST, EVENTS, STATE, DLQ):
        try:
            await client.jetstream().delete_stream(stream)
        except nats.js.errors.NotFoundError:
            continue
    await client.close()
    await provision_streams(address, "admin", servers.data_dir.secret("nats.admin"))
    yield Platform(servers, database)
    await admin.execute(f"drop database {database} with (force)")
    await admin.close()


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Waits until a condition holds: `await eventually(lambda: x == 3)`; fails with what it last was."""

    async def wait(condition: Callable[[], object], within_s: float = 10.0, every_s: float = 0.02) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            if asyncio.get_running_loop().time() > deadline:
                pytest.fail(f"not within {within_s} s: {condition}")
            await asyncio.sleep(every_s)

    return wait
