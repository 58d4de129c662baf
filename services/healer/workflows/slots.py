"""Which of the workflows' executors this replica is: the lowest slot whose advisory lock is free.

A workflow remembers its executor. The slot's lock tells whether that executor lives, so that what a dead one left
is taken over, and what a living one works on is not.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import asyncpg
import structlog

log = structlog.get_logger()

SLOTS = 64
CHECK_S = 0.5
RETAKE_TRIES = 30
RETRY_S = 0.1
_CLASS = zlib.crc32(b"homeostat:healer:slot") & 0x7FFF_FFFF
_TRY = "select pg_try_advisory_lock($1, $2)"
_HELD = (
    "select objid::int from pg_locks where locktype = 'advisory' and classid = $1::int::oid and objsubid = 2 "
    "and granted and database = (select oid from pg_database where datname = current_database())"
)
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class SlotLostError(Exception):
    """Another replica has this one's slot: whatever runs here, that one runs too. This process must end at once."""


def executor_name(slot: int) -> str:
    return f"healer-{slot}"


def slot_of(executor: str) -> int | None:
    """The slot of an executor's name; None for a name of another kind."""
    number = executor.removeprefix("healer-")
    return int(number) if number.isdecimal() else None


@dataclass(slots=True)
class Slots:
    """Holds one slot on a connection of its own for the life of the process."""

    dsn: str = field(repr=False)
    monotonic: Callable[[], float] = time.monotonic
    slot: int = -1
    _connection: asyncpg.Connection | None = None
    _free_since: dict[int, float] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A connection does one thing at a time: watching over the slot, and looking for dead ones."""

    async def claim(self) -> int:
        """Takes the lowest free slot, unless there is one already; waits for PostgreSQL."""
        while self._connection is None:
            try:
                connection = await self._connect()
                for slot in range(SLOTS):
                    if await connection.fetchval(_TRY, _CLASS, slot):
                        self.slot, self._connection = slot, connection
                        return slot
                await connection.close()
                log.error("all slots are taken; waiting for one", slots=SLOTS)
                await asyncio.sleep(CHECK_S)
            except _AWAY as error:
                log.warning("waiting for PostgreSQL to claim a slot", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)
        return self.slot

    async def keep(self) -> None:
        """Watches over the slot for ever.

        Raises:
            SlotLostError: the connection was lost, and somebody else has the slot now.
        """
        while True:
            connection = self._connection
            try:
                if connection is None:
                    await self._retake()
                else:
                    async with self._turn:
                        await connection.fetchval("select 1", timeout=5)
                    await asyncio.sleep(CHECK_S)
            except _AWAY as error:
                log.warning("slot connection lost; taking it again", slot=self.slot, error=str(error))
                self._connection = None
                if connection is not None:
                    connection.terminate()
                await asyncio.sleep(RETRY_S)

    async def _retake(self) -> None:
        connection = await self._connect()
        for _ in range(RETAKE_TRIES):  # the server may not have noticed yet that the old connection is gone
            if await connection.fetchval(_TRY, _CLASS, self.slot):
                self._connection = connection
                return
            await asyncio.sleep(RETRY_S)
        raise SlotLostError(f"slot {executor_name(self.slot)} was taken by another replica")

    async def dead(self, executors: Iterable[str], grace_s: float) -> list[int]:
        """Slots of these executors that nobody has held for `grace_s`: a replica that lost its connection retakes
        its slot sooner than that, or ends."""
        connection = self._connection
        if connection is None:
            self._free_since.clear()
            return []
        async with self._turn:
            held = {row[0] for row in await connection.fetch(_HELD, _CLASS, timeout=5)}
        now = self.monotonic()
        candidates = {slot for name in executors if (slot := slot_of(name)) is not None and slot not in held}
        self._free_since = {slot: self._free_since.get(slot, now) for slot in candidates}
        return [slot for slot, since in self._free_since.items() if now - since >= grace_s]

    async def borrow(self, slot: int) -> bool:
        """Takes a dead replica's slot, so that nobody else does; give it back with `give_back`."""
        if self._connection is None:
            return False
        async with self._turn:
            return bool(await self._connection.fetchval(_TRY, _CLASS, slot, timeout=5))

    async def give_back(self, slot: int) -> None:
        if self._connection is not None:
            async with self._turn:
                await self._connection.fetchval("select pg_advisory_unlock($1, $2)", _CLASS, slot, timeout=5)
            self._free_since.pop(slot, None)

    async def fence(self) -> int:
        """A number that only grows. It is asked for on the slot's own connection, so whoever has lost the slot can
        get none. Waits while the slot is being taken again."""
        while True:
            connection = self._connection
            if connection is not None:
                try:
                    async with self._turn:
                        return int(await connection.fetchval("select nextval('agent_fence')", timeout=5))
                except _AWAY as error:
                    log.warning("no fence yet", slot=self.slot, error=str(error))
            await asyncio.sleep(RETRY_S)

    async def release(self) -> None:
        """Lets others have the slot; call it when nothing runs here any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(timeout=2)

    async def _connect(self) -> asyncpg.Connection:
        settings = {"application_name": "homeostat-healer-slot"}
        return await asyncpg.connect(self.dsn, timeout=5, server_settings=settings)
