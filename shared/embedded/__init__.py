"""Real NATS and PostgreSQL servers without containers, and the supervisor that keeps processes alive on one machine."""

from shared.embedded.datadir import DataDir
from shared.embedded.errors import (
    ChildFailedError,
    DataDirError,
    EmbeddedError,
    PortInUseError,
    ServerSetupError,
)
from shared.embedded.nats_config import EnvRef, NatsConfig, NatsUser, render_nats_config
from shared.embedded.processes import Command, die_with_parent
from shared.embedded.servers import EmbeddedServers, PostgresDatabase
from shared.embedded.supervisor import ChildSpec, ChildState, ChildStatus, RestartPolicy, Supervisor

__all__ = [
    "ChildFailedError",
    "ChildSpec",
    "ChildState",
    "ChildStatus",
    "Command",
    "DataDir",
    "DataDirError",
    "EmbeddedError",
    "EmbeddedServers",
    "EnvRef",
    "NatsConfig",
    "NatsUser",
    "PortInUseError",
    "PostgresDatabase",
    "RestartPolicy",
    "ServerSetupError",
    "Supervisor",
    "die_with_parent",
    "render_nats_config",
]
