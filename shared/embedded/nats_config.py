"""Renders the configuration of nats-server, one way for the embedded server and for deployments.

A service may publish and hear what its permissions name and nothing else: the server enforces it, not the code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PAYLOAD_BYTES = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUBJECT = re.compile(r"[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class EnvRef:
    """A value that nats-server reads from its environment when it starts."""

    name: str


@dataclass(frozen=True)
class NatsUser:
    """A NATS user and the subjects (NATS wildcards allowed) that it may publish to and subscribe to.

    `password` None: the embedded server generates one and keeps it. `replies` lets a responder answer a
    request on the requester's inbox without a publish permission there.
    """

    name: str
    password: str | EnvRef | None = None
    publish: tuple[str, ...] | list[str] = ()
    subscribe: tuple[str, ...] | list[str] = ()
    replies: bool = False


@dataclass(frozen=True)
class NatsConfig:
    """What `render_nats_config` renders. `sync_interval`: how often JetStream writes reach the disk (or `always`).

    A killed server loses nothing whatever the interval; only a crash of the machine can lose that much.
    """

    users: Sequence[NatsUser]
    store_dir: str
    host: str = "127.0.0.1"
    port: int = 4222
    monitor_host: str = "127.0.0.1"
    monitor_port: int = 8222
    server_name: str = "homeostat"
    sync_interval: str = "5s"
    max_memory_store: str = "256MB"
    max_file_store: str = "10GB"
    extra: str = ""  # verbatim configuration of a deployment, such as its cluster or TLS block


def render_nats_config(config: NatsConfig) -> str:
    """The text of a nats-server configuration file; it holds secrets unless every password is an EnvRef.

    Raises ValueError for a user without a password, a name twice, or a value that NATS cannot represent.
    """
    names = [user.name for user in config.users]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"NATS users {', '.join(twice)} are defined twice: give each user one definition")
    users = "\n".join(_render_user(user) for user in config.users)
    return f"""\
server_name: {_quote(config.server_name)}
host: {_quote(config.host)}
port: {config.port}
http: {_quote(f"{config.monitor_host}:{config.monitor_port}")}
max_payload: {MAX_PAYLOAD_BYTES}

jetstream {{
  store_dir: {_quote(config.store_dir)}
  sync_interval: {_quote(config.sync_interval)}
  max_memory_store: {config.max_memory_store}
  max_file_store: {config.max_file_store}
}}

authorization {{
  timeout: 5
  users: [
{users}
  ]
}}
{config.extra}"""


def _render_user(user: NatsUser) -> str:
    if user.password is None:
        raise ValueError(f"NATS user {user.name!r} has no password: give a string or an EnvRef")
    permissions = [
        f"publish: {_permission(user.publish)}",
        f"subscribe: {_permission(user.subscribe)}",
    ]
    if user.replies:
        permissions.append('allow_responses: { max: 16, expires: "1m" }')
    return (
        f"    {{ user: {_quote(user.name)}, password: {_secret(user.password)}\n"
        f"      permissions: {{\n" + "".join(f"        {line}\n" for line in permissions) + "      } }"
    )


def _permission(subjects: Sequence[str]) -> str:
    if not subjects:
        return '{ deny: [">"] }'  # NATS takes an empty allow list for "everything"
    for subject in subjects:
        if not _SUBJECT.fullmatch(subject):
            raise ValueError(f"NATS subject {subject!r}: a subject is not empty and holds no white space")
    return f"{{ allow: [{', '.join(_quote(subject) for subject in subjects)}] }}"


def _secret(password: str | EnvRef) -> str:
    if isinstance(password, str):
        return _quote(password)
    if not _ENV_NAME.fullmatch(password.name):
        raise ValueError(f"environment variable {password.name!r}: use letters, digits and '_'")
    return f"${password.name}"


def _quote(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(f"NATS configuration value {value!r} holds control characters: remove them")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
