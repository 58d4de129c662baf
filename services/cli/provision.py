"""What must be there before a service starts: roles, schemas, tables and streams. Repeating it changes nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.errors import NoServersError
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from shared.bus import connect_admin, provision
from shared.bus.streams import (
    NatsPermissions,
    admin_permissions,
    agent_permissions,
    publisher_permissions,
    service_permissions,
)
from shared.db import migrate
from shared.embedded import NatsUser
from shared.settings import SERVICES

EXTRA_SCHEMAS = {"healer": "healer_dbos"}
"""Schemas of libraries that keep their own tables: DBOS migrates itself at the healer's start."""
_LOCK = 7_402_117
AGENTS_VARIABLE = "HOMEOSTAT_AGENTS"
_AGENT = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")


class ProvisionError(Exception):
    """Provisioning failed; the text says where and how to mend it."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was done: for each service the revision before, and the streams that were made."""

    schemas: dict[str, str | None]
    streams: list[str]


def quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def create_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    """One login role and one schema of the same name per service, closed to all others."""
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    database = quoted(connection, str(connection.execute(text("select current_database()")).scalar_one()))
    connection.execute(text(f"revoke all on database {database} from public"))
    connection.execute(text("revoke all on schema public from public"))
    for service in SERVICES:
        role = quoted(connection, service)
        known = connection.execute(text("select 1 from pg_roles where rolname = :name"), {"name": service}).first()
        literal = connection.execute(
            text("select quote_literal(:password)"), {"password": passwords[service]}
        ).scalar_one()
        connection.exec_driver_sql(f"{'alter' if known else 'create'} role {role} login password {literal}")
        connection.execute(text(f"grant {role} to current_user"))
        connection.execute(text(f"grant connect on database {database} to {role}"))
        for schema in filter(None, (service, EXTRA_SCHEMAS.get(service))):
            connection.execute(text(f"create schema if not exists {quoted(connection, schema)} authorization {role}"))


def provision_database(admin: URL, passwords: Mapping[str, str]) -> dict[str, str | None]:
    """Roles, schemas and migrations; each service's migrations run as its own role, so that it owns its tables.

    Raises:
        ProvisionError: the database can't be reached or a migration failed.
    """
    admin = admin.set(drivername="postgresql+psycopg")
    where = f"{admin.host}:{admin.port}/{admin.database}"
    try:
        engine = create_engine(admin, poolclass=NullPool)
        with engine.begin() as connection:
            create_roles(connection, passwords)
        before: dict[str, str | None] = {}
        for service in SERVICES:
            own = create_engine(admin.set(username=service, password=passwords[service]), poolclass=NullPool)
            with own.connect() as connection:
                before[service] = migrate(service, connection)
                connection.commit()
    except (OperationalError, ProgrammingError) as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
        raise ProvisionError(
            f"PostgreSQL at {where}: {reason}: check the address and that {admin.username} may create roles"
        ) from error
    return before


async def provision_streams(nats_url: str, user: str | None, password: str | None, replicas: int = 1) -> list[str]:
    """Streams.

    Raises:
        ProvisionError: NATS can't be reached or refuses.
    """
    try:
        client = await connect_admin(nats_url, user, password)
    except (NoServersError, OSError, TimeoutError, NatsError) as error:
        reason = str(error) or type(error).__name__
        raise ProvisionError(f"NATS at {nats_url}: {reason}: check the address and the admin password") from error
    try:
        return await provision(client.jetstream(), replicas)
    except NatsError as error:
        raise ProvisionError(f"NATS at {nats_url}: {error}: is JetStream enabled for this account?") from error
    finally:
        await client.close()


async def provision_all(
    admin: URL, passwords: Mapping[str, str], nats_url: str, nats_user: str | None, nats_password: str | None
) -> Provisioned:
    """Database and streams."""
    schemas = await asyncio.to_thread(provision_database, admin, passwords)
    return Provisioned(schemas, await provision_streams(nats_url, nats_user, nats_password))


def agents_named(text: str) -> tuple[str, ...]:
    """Names of agents, with commas between them. Raises ProvisionError."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    wrong = [name for name in names if not _AGENT.fullmatch(name) or name == "all"]
    if wrong:
        raise ProvisionError(f"{AGENTS_VARIABLE}: {wrong[0]!r} can't be an agent: use small letters, digits, - and _")
    return names


def nats_users(agents: Sequence[str] | None = None) -> list[NatsUser]:
    """Everybody who may connect: one user per service, one for provisioning, one for other systems, and one per agent
    (by default those that HOMEOSTAT_AGENTS names)."""
    if agents is None:
        agents = agents_named(os.environ.get(AGENTS_VARIABLE, ""))
    hands = [_user(f"agent-{name}", agent_permissions(name), replies=True) for name in agents]
    services = [_user(name, service_permissions(name), replies=True) for name in SERVICES]
    return [*services, _user("admin", admin_permissions()), _user("publisher", publisher_permissions()), *hands]


def _user(name: str, permissions: NatsPermissions, *, replies: bool = False) -> NatsUser:
    return NatsUser(name, publish=permissions.publish, subscribe=permissions.subscribe, replies=replies)
