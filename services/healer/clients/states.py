"""State of the world as hashes, so that before and after can be compared without keeping either.

An actuator says what it touches: `files` with their bytes, mode and owner, and what `state()` tells, where it has one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Protocol, runtime_checkable

import asyncpg

from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError
from services.healer.clients.files import FileError, FileState
from services.healer.clients.secrets import read_secret
from services.healer.clients.telling import SendNotice
from shared.packs.practice import Compared, Rows

ROWS_MAX = 10_000
_TIMEOUT_S = 10.0


@runtime_checkable
class Stateful(Protocol):
    """An actuator that can say in which state the thing is that it acts on, beside its files.

    `state` reads only. Two states are equal when nobody could tell them apart: whether a process runs, not its pid.
    """

    async def state(self) -> str: ...


def touched(actuator: Actuator) -> set[str]:
    """Names of all that an actuator touches: telling somebody touches nothing."""
    if isinstance(actuator, SendNotice):
        return set()
    return {actuator.resource, *(f"file:{path}" for path in actuator.files)}


async def capture(actuators: Sequence[Actuator], also: Sequence[Compared]) -> dict[str, str]:
    """Hash or name of the state of everything that these touch, and of what the pack names beside it.

    Raises:
        ActuatorError: it can't be read, or an actuator can't say what it touches and the pack doesn't either.
    """
    found: dict[str, str] = {}
    for actuator in actuators:
        for path in actuator.files:
            found[f"file:{path}"] = await file_state(path)
        if isinstance(actuator, Stateful):
            found[actuator.resource] = await actuator.state()
        elif touched(actuator) and not actuator.files and not also:
            raise ActuatorError(f"can't tell the state of {actuator.resource}: name it in the practice's `state`")
    for one in also:
        if one.file is not None:
            path = files.absolute(one.file)
            found[f"file:{path}"] = await file_state(path)
        if one.sql is not None:
            found[f"rows:{one.sql.query}"] = await rows_state(one.sql, os.environ)
    return found


async def file_state(path: str) -> str:
    """Bytes, mode and owner. Raises ActuatorError."""
    try:
        return _words((await asyncio.to_thread(files.read, path)).state)
    except FileError as error:
        raise ActuatorError(str(error)) from error


def _words(state: FileState) -> str:
    return f"{state.sha256} {state.mode:o} {state.uid}:{state.gid}" if state.exists else "no file"


async def rows_state(rows: Rows, environment: Mapping[str, str]) -> str:
    """Hash of the rows that a query gives, in their order. Raises ActuatorError."""
    dsn = read_secret(rows.dsn, environment)
    where = rows.dsn.env or rows.dsn.file
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            async with connection.transaction(readonly=True):
                found = await connection.fetch(rows.query)
        finally:
            await connection.close(timeout=_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ActuatorError(f"{where}: {type(error).__name__}: {error}") from error
    if len(found) > ROWS_MAX:
        raise ActuatorError(f"{where}: more than {ROWS_MAX} rows: let the query compare fewer")
    digest = sha256()
    for row in found:
        digest.update(repr(tuple(row.items())).encode())
    return f"{len(found)} rows {digest.hexdigest()[:16]}"
