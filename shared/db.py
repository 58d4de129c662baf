"""PostgreSQL: one role and schema per service, an engine, and migrations without an Alembic environment to copy.

Role name = schema name = service name, so `search_path` finds a service's tables and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING
from uuid import UUID

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from shared.settings import ServiceSettings

NAMING = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
}
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 60_000


def _messaging_columns() -> dict[str, tuple[Column[object], ...]]:
    """Columns of the tables that make delivery exact, made anew because a Column belongs to one Table."""

    def instant() -> DateTime:
        return DateTime(timezone=True)

    outbox: tuple[Column[object], ...] = (
        Column("id", Uuid, primary_key=True),
        Column("position", BigInteger, Identity(), nullable=False, unique=True),
        Column("subject", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("created_at", instant(), nullable=False),
    )
    inbox: tuple[Column[object], ...] = (
        Column("event_id", Uuid, primary_key=True),
        Column("handler", String(100), primary_key=True),
        Column("received_at", instant(), nullable=False, index=True),
    )
    checkpoint: tuple[Column[object], ...] = (
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        Column("owner", Text, nullable=False),
        Column("stream_sequence", BigInteger, nullable=False),
        Column("snapshot", LargeBinary, nullable=True),
        Column("saved_at", instant(), nullable=False),
    )
    replicas: tuple[Column[object], ...] = (
        Column("replica", Text, primary_key=True),
        Column("seen_at", instant(), nullable=False),
    )
    return {"outbox": outbox, "inbox": inbox, "partition_checkpoint": checkpoint, "replica": replicas}


def messaging_tables(metadata: MetaData) -> dict[str, Table]:
    """Adds outbox, inbox, partition_checkpoint and replica to `metadata`."""
    return {name: Table(name, metadata, *columns) for name, columns in _messaging_columns().items()}


def service_base() -> type[DeclarativeBase]:
    """A declarative base for one service, with the messaging tables in its metadata."""

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING)
        type_annotation_map = {datetime: DateTime(timezone=True), UUID: Uuid}

    messaging_tables(Base.metadata)
    return Base


def create_messaging_tables(op: Operations) -> None:
    """For a service's first migration."""
    metadata = MetaData(naming_convention=NAMING)
    messaging_tables(metadata)
    metadata.create_all(op.get_bind())


def drop_messaging_tables(op: Operations) -> None:
    metadata = MetaData(naming_convention=NAMING)
    messaging_tables(metadata)
    metadata.drop_all(op.get_bind())


def database_url(service: str, settings: ServiceSettings, driver: str = "postgresql+asyncpg") -> URL:
    return URL.create(
        driver,
        username=service,
        password=settings.postgres_secret(),
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_database,
    )


def create_engine(url: URL, application_name: str) -> AsyncEngine:
    """A pool that forgets broken connections: after a restart of PostgreSQL the next try gets a new one."""
    return create_async_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_timeout=10,
        pool_use_lifo=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": {"application_name": f"homeostat-{application_name}", "jit": "off"},
        },
    )


# ---- migrations


@contextmanager
def _script(service: str) -> Iterator[ScriptDirectory]:
    folder = str(files(f"services.{service}") / "migrations")
    config = Config()
    config.set_main_option("script_location", folder)
    config.set_main_option("version_locations", folder)
    config.set_main_option("path_separator", "os")
    yield ScriptDirectory.from_config(config)


def migrate(service: str, connection: Connection, revision: str = "head") -> str | None:
    """Brings the schema of `service` to `revision` on a connection of that role; returns the revision before.

    Works beside the previous release: lock and statement time-outs keep a migration from blocking the service.
    """
    with _script(service) as script:
        before: list[str | None] = []

        def upgrade(current: str | tuple[str, ...], _context: MigrationContext) -> object:
            before.append(current[0] if isinstance(current, tuple) and current else None)
            return script._upgrade_revs(revision, current)  # type: ignore[arg-type]

        connection.execute(text(f"set lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.execute(text(f"set statement_timeout = {STATEMENT_TIMEOUT_MS}"))
        connection.commit()
        with EnvironmentContext(Config(), script, fn=upgrade, destination_rev=revision) as environment:
            environment.configure(connection=connection, transaction_per_migration=True)
            with environment.begin_transaction():
                environment.run_migrations()
        return before[0] if before else None


def schema_differences(metadata: MetaData, connection: Connection) -> list[object]:
    """What the database has otherwise than the models (`alembic check`): empty when they agree."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))
