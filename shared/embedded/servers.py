"""NATS and PostgreSQL as one context manager: what `homeostat up`, the demo and the tests stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.embedded.datadir import DataDir
from shared.embedded.nats import NatsServer
from shared.embedded.nats_config import NatsUser
from shared.embedded.postgres import SUPERUSER, PostgresServer
from shared.embedded.supervisor import ChildStatus, Supervisor

START_DEADLINE_S = 60.0  # recovery after a crash of the machine may take a while


@dataclass(frozen=True)
class PostgresDatabase:
    """A database, its owner role, and further login roles that may connect to it.

    The owner may act for the further roles, so that migrations can make each role's own schema.
    """

    name: str
    owner: str
    roles: tuple[str, ...] | list[str] = ()


class EmbeddedServers:
    """Both servers, supervised, on loopback, with generated credentials; ports and data persist in `data_dir`.

    ```
    async with EmbeddedServers(path, nats_users=[...], databases=[...]) as servers:
        servers.nats_url("detector"), servers.postgres_dsn("detector", "homeostat")
    ```
    Further children may be added to `supervisor`; they are stopped before the servers. `ports` fixes ports by
    name (`nats`, `nats-monitor`, `postgres`). A DataDir passed in stays open, one opened here is closed.
    """

    def __init__(
        self,
        data_dir: DataDir | Path | str,
        *,
        nats_users: Sequence[NatsUser] = (),
        databases: Sequence[PostgresDatabase] = (),
        ports: Mapping[str, int] | None = None,
        on_change: Callable[[ChildStatus], None] | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._data_dir_given = data_dir
        self._data_dir: DataDir | None = data_dir if isinstance(data_dir, DataDir) else None
        self._nats_users = tuple(nats_users)
        self._databases = tuple(databases)
        self._ports = dict(ports or {})
        self.supervisor = supervisor or Supervisor(on_change=on_change)
        self._nats: NatsServer | None = None
        self._postgres: PostgresServer | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # a cancelled start must not leave servers running either
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts both and returns when both answer. Raises an EmbeddedError that says what to do."""
        if self._data_dir is None:
            self._data_dir = (
                DataDir.open(self._data_dir_given) if not isinstance(self._data_dir_given, DataDir) else None
            )
        data_dir = self.data_dir
        ports = self._ports
        self._nats = NatsServer.prepare(
            data_dir, self._nats_users, port=ports.get("nats"), monitor_port=ports.get("nats-monitor")
        )
        self.supervisor.start(self._nats.child())
        self._postgres = await PostgresServer.prepare(data_dir, port=ports.get("postgres"))
        self.supervisor.start(self._postgres.child())
        await self.wait_ready()
        await self._provide_databases(self._postgres)

    async def stop(self) -> None:
        """Stops everything under the supervisor, the servers last. May be called twice."""
        await self.supervisor.stop()
        if self._data_dir is not None and self._data_dir is not self._data_dir_given:
            self._data_dir.close()
            self._data_dir = None

    async def wait_ready(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Returns when both servers run; ChildFailedError otherwise. Use it after a server was killed, too."""
        await self.supervisor.wait_running("nats", deadline_s)
        await self.supervisor.wait_running("postgres", deadline_s)

    @property
    def data_dir(self) -> DataDir:
        return _started(self._data_dir)

    @property
    def nats(self) -> NatsServer:
        return _started(self._nats)

    @property
    def postgres(self) -> PostgresServer:
        return _started(self._postgres)

    def nats_url(self, user: str) -> str:
        """`nats://user:password@127.0.0.1:port` of a defined user; KeyError for another."""
        return self.nats.url(user)

    @property
    def nats_monitor_url(self) -> str:
        """Base URL of nats-server's HTTP monitoring."""
        return self.nats.monitor_url

    def postgres_dsn(self, role: str, database: str) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; role `postgres` is the superuser."""
        known = {SUPERUSER, *(role for database in self._databases for role in (database.owner, *database.roles))}
        if role not in known:
            raise KeyError(f"PostgreSQL role {role!r} is not defined; known: {', '.join(sorted(known))}")
        return self.postgres.dsn(role, self._password(role), database)

    async def _provide_databases(self, server: PostgresServer) -> None:
        for database in self._databases:
            await server.create_database(database.name, database.owner, self._password(database.owner))
            for role in database.roles:
                await server.create_role(role, self._password(role))
                await server.admit_role(database.name, database.owner, role)

    def _password(self, role: str) -> str:
        return self.data_dir.secret(f"postgres.{role}")


def _started[T](part: T | None) -> T:
    if part is None:
        raise RuntimeError("the embedded servers are not started: use `async with EmbeddedServers(...)`")
    return part
