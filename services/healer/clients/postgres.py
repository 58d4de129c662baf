"""What actions on a PostgreSQL share: a connection, and the marks by which a repetition knows what was committed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import asyncpg

from services.healer.clients.base import ActuatorError
from services.healer.clients.secrets import read_secret
from shared.packs.component import SecretRef

MARKERS = "homeostat_applied_steps"
NAME = "homeostat-healer-action"
_CONNECT_TIMEOUT_S = 5.0
_KEEP_MARKS_DAYS = 90


async def on_database[T](
    dsn: SecretRef, resource: str, timeout_s: float, work: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    """One connection for one piece of work. Raises ActuatorError, which holds no address and no content of rows."""
    address = read_secret(dsn, os.environ)
    try:
        connection = await asyncpg.connect(
            address,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=timeout_s,
            server_settings={"application_name": NAME},
        )
    except asyncpg.ClientConfigurationError:  # its text would hold the address, and so the password
        raise ActuatorError(
            f"{resource}: not the address of a PostgreSQL: write postgresql://user:password@host:5432/database"
        ) from None
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ActuatorError(f"{resource}: {type(error).__name__}: {error}") from error
    try:
        return await work(connection)
    except asyncpg.PostgresError as error:  # only its message: the detail quotes rows
        raise ActuatorError(f"{resource}: {type(error).__name__}: {error.message}") from error
    except (OSError, TimeoutError, ValueError, asyncpg.InterfaceError) as error:
        raise ActuatorError(f"{resource}: {type(error).__name__}: {error}") from error
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


async def ensure_marks(connection: asyncpg.Connection) -> None:
    """The table of marks, in the schema where the role makes tables."""
    if await connection.fetchval("select to_regclass($1)", MARKERS) is not None:
        return
    try:
        await connection.execute(
            f"create table if not exists {MARKERS} (key text primary key, applied_at timestamptz not null)"
        )
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
        return  # somebody else has just made it


async def mark(connection: asyncpg.Connection, key: str) -> bool:
    """Marks within the caller's transaction that `key` is done; False when that was committed before."""
    made = await connection.fetchval(
        f"insert into {MARKERS} (key, applied_at) values ($1, now()) on conflict do nothing returning true",  # noqa: S608 - our own name
        key,
    )
    if made:
        await connection.execute(
            f"delete from {MARKERS} where applied_at < now() - make_interval(days => {_KEEP_MARKS_DAYS})"  # noqa: S608
        )
    return bool(made)


async def marked(connection: asyncpg.Connection, key: str) -> bool:
    """Whether `key` was committed."""
    if await connection.fetchval("select to_regclass($1)", MARKERS) is None:
        return False
    return bool(await connection.fetchval(f"select true from {MARKERS} where key = $1", key))  # noqa: S608
