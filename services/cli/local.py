"""All of Homeostat on one machine: embedded servers, provisioned, and the eight services, each its own process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from sqlalchemy import make_url

from services.cli.provision import nats_users, provision_all
from shared.embedded import ChildSpec, ChildStatus, Command, DataDir, EmbeddedServers, PostgresDatabase
from shared.settings import SERVICES

DATABASE = "homeostat"
START_DEADLINE_S = 180.0
"""A busy or a small machine may take minutes; a service that ends is told of at once."""
CONNECTION_FILE = "gateway.json"
"""In the data directory: where the gateway is and a token for it, for the command line on the same machine."""


class LocalPlatform:
    """Start it as a context manager. Whatever is killed under it comes back; when it ends, nothing is left."""

    def __init__(
        self,
        data_dir: Path | str,
        *,
        gateway_port: int | None = None,
        extra_databases: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        on_progress: Callable[[str], None] = lambda _text: None,
        on_change: Callable[[ChildStatus], None] | None = None,
    ) -> None:
        self._path = Path(data_dir)
        self._gateway_port = gateway_port
        self._environment = dict(environment or {})
        self._on_progress = on_progress
        self._on_change = on_change
        self._databases = [PostgresDatabase(name, name) for name in extra_databases]
        self._data_dir: DataDir | None = None
        self._servers: EmbeddedServers | None = None
        self._health: dict[str, str] = {}
        self.gateway_url = ""

    # ---- what others need

    @property
    def data_dir(self) -> DataDir:
        assert self._data_dir is not None, "not started"
        return self._data_dir

    @property
    def servers(self) -> EmbeddedServers:
        assert self._servers is not None, "not started"
        return self._servers

    @property
    def token(self) -> str:
        return self.data_dir.secret("gateway.admin-token")

    @property
    def health_urls(self) -> dict[str, str]:
        """Base address of each service's health pages."""
        return dict(self._health)

    def dsn(self, database: str) -> str:
        """Address of one of the `extra_databases`, with its password."""
        return self.servers.postgres_dsn(database, database)

    # ---- life

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when every service is ready. Raises an EmbeddedError or ProvisionError that says what to do."""
        self._data_dir = DataDir.open(self._path)
        self._servers = EmbeddedServers(
            self._data_dir,
            nats_users=nats_users(),
            databases=[PostgresDatabase(DATABASE, "homeostat"), *self._databases],
            on_change=self._on_change,
        )
        await self._servers.start()
        self._on_progress("NATS and PostgreSQL are up")
        provisioned = await provision_all(
            make_url(self._servers.postgres.superuser_dsn).set(database=DATABASE),
            {service: self._password("postgres", service) for service in SERVICES},
            self._nats_address(),
            "admin",
            self._password("nats", "admin"),
        )
        migrated = sum(1 for before in provisioned.schemas.values() if before is None)
        self._on_progress(f"{migrated} schemas and {len(provisioned.streams)} streams made; the rest was there")
        port = self._data_dir.port("gateway", fixed=self._gateway_port)
        self.gateway_url = f"http://127.0.0.1:{port}"
        for service in SERVICES:
            self._health[service] = f"http://127.0.0.1:{self._data_dir.port(f'health-{service}')}"
            self._servers.supervisor.start(self._child(service))
        self._write_connection()
        await self.wait_ready()

    async def wait_ready(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Returns when every service is ready (again)."""
        supervisor = self.servers.supervisor

        async def one(service: str) -> None:
            await supervisor.wait_running(service, deadline_s)
            self._on_progress(f"{service} is ready")

        await asyncio.gather(*(one(service) for service in SERVICES))

    async def stop(self) -> None:
        """Stops services, then servers. May be called twice."""
        if self._servers is not None:
            await self._servers.stop()
        if self._data_dir is not None:
            (self._data_dir.path / CONNECTION_FILE).unlink(missing_ok=True)
            self._data_dir.close()
            self._servers = self._data_dir = None

    # ---- details

    def _child(self, service: str) -> ChildSpec:
        return ChildSpec(
            name=service,
            command=Command(
                argv=(sys.executable, "-m", "services.cli", "serve", service),
                env={**os.environ, **self._service_environment(service), **self._environment},
            ),
            log_path=self.data_dir.logs / f"{service}.log",
            wait_ready=self._ready_check(service),
        )

    def _service_environment(self, service: str) -> dict[str, str]:
        database = make_url(self.servers.postgres.superuser_dsn)
        environment = {
            "HOMEOSTAT_NATS_URL": self._nats_address(),
            "HOMEOSTAT_NATS_PASSWORD": self._password("nats", service),
            "HOMEOSTAT_POSTGRES_HOST": database.host or "127.0.0.1",
            "HOMEOSTAT_POSTGRES_PORT": str(database.port),
            "HOMEOSTAT_POSTGRES_DATABASE": DATABASE,
            "HOMEOSTAT_POSTGRES_PASSWORD": self._password("postgres", service),
            "HOMEOSTAT_HEALTH_PORT": self._health[service].rpartition(":")[2],
            "HOMEOSTAT_SPAN_FILE": str(self.data_dir.logs / "spans.jsonl"),
            "HOMEOSTAT_KILL_SWITCH_FILE": str(self.data_dir.run / "kill-switch"),
        }
        if service == "healer":
            environment["HOMEOSTAT_BACKUP_ARCHIVE_DIR"] = str(self.data_dir.path / "backup-archives")
        if service == "gateway":
            environment |= {
                "HOMEOSTAT_HTTP_PORT": self.gateway_url.rpartition(":")[2],
                "HOMEOSTAT_ADMIN_TOKEN": self.token,
            }
        return environment

    def _ready_check(self, service: str) -> Callable[[], Awaitable[None]]:
        async def ready() -> None:
            async with httpx.AsyncClient(base_url=self._health[service], timeout=2) as client:
                while True:
                    try:
                        if (await client.get("/readyz")).status_code == httpx.codes.OK:
                            return
                    except httpx.TransportError:  # not listening yet
                        await asyncio.sleep(0)
                    await asyncio.sleep(0.05)

        return ready

    def _write_connection(self) -> None:
        path = self.data_dir.path / CONNECTION_FILE
        text = json.dumps({"url": self.gateway_url, "token": self.token, "health": self._health})
        path.touch(mode=0o600)
        path.write_text(text)

    def _password(self, kind: str, name: str) -> str:
        return self.data_dir.secret(f"{kind}.{name}")

    def _nats_address(self) -> str:
        return "nats://" + self.servers.nats_url("admin").rpartition("@")[2]
