"""PostgreSQL and NATS from the images that compose.yaml names, in the place of the embedded servers.

`HOMEOSTAT_TEST_SERVERS=containers` makes the fixture `servers` use them, so that everything in tests/integration that
asks for `platform` runs against what is deployed.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from ruamel.yaml import YAML
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy, LogMessageWaitStrategy

from shared.embedded.nats_config import NatsConfig, NatsUser, render_nats_config

START_DEADLINE = timedelta(seconds=60)


class Secrets:
    """Random secrets by name, as a data directory keeps them."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def secret(self, name: str) -> str:
        return self._made.setdefault(name, secrets.token_hex(16))


@dataclass(frozen=True)
class Postgres:
    superuser_dsn: str


@dataclass(frozen=True)
class ContainerServers:
    """What the fixture `platform` uses of `EmbeddedServers`, from containers."""

    postgres: Postgres
    data_dir: Secrets
    nats_address: str

    def nats_url(self, user: str) -> str:
        return f"nats://{quote(user, safe='')}:{self.data_dir.secret(f'nats.{user}')}@{self.nats_address}"


def image_of(service: str) -> str:
    """The image that compose.yaml names: tests and deployment can't drift apart."""
    image: str = YAML(typ="safe").load(Path("compose.yaml"))["services"][service]["image"]
    return image


@contextmanager
def container_servers(nats_users: Sequence[NatsUser]) -> Iterator[ContainerServers]:
    """Both servers, empty; removed at the end, also when one doesn't start."""
    made = Secrets()
    with ExitStack() as stack:
        postgres = stack.enter_context(_postgres(made.secret("postgres.superuser")))
        nats = stack.enter_context(_nats(made, nats_users))
        dsn = f"postgresql://postgres:{made.secret('postgres.superuser')}@{_address(postgres, 5432)}/postgres"
        yield ContainerServers(Postgres(dsn), made, _address(nats, 4222))


def _postgres(password: str) -> DockerContainer:
    # Over TCP: while the database is being made, only the socket answers.
    ready = ExecWaitStrategy(["pg_isready", "--quiet", "--host=127.0.0.1"]).with_startup_timeout(START_DEADLINE)
    return (
        DockerContainer(image_of("postgres"))
        .with_env("POSTGRES_PASSWORD", password)
        .with_exposed_ports(5432)
        .with_command(["postgres", "-c", "max_connections=250", "-c", "fsync=off"])
        .waiting_for(ready)
    )


def _nats(made: Secrets, users: Sequence[NatsUser]) -> DockerContainer:
    named = [dataclasses.replace(user, password=made.secret(f"nats.{user.name}")) for user in users]
    config = render_nats_config(NatsConfig(users=named, store_dir="/data", host="0.0.0.0"))
    return (
        DockerContainer(image_of("nats"))
        .with_copy_into_container(config.encode(), "/etc/nats/homeostat.conf")
        .with_exposed_ports(4222)
        .with_command(["nats-server", "--config", "/etc/nats/homeostat.conf"])
        .waiting_for(LogMessageWaitStrategy("Server is ready").with_startup_timeout(START_DEADLINE))
    )


def _address(container: DockerContainer, port: int) -> str:
    """Host and port on this machine."""
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
