"""Remembers watched files, and how far logs have been read, in the detector's own tables."""

from __future__ import annotations

from dataclasses import dataclass

from services.detector import store
from shared.outbox import Units


@dataclass(frozen=True, slots=True)
class RememberedFiles:
    """Each question is a unit of its own: probes run outside of any handler."""

    units: Units

    async def recall(self, probe: str) -> str | None:
        async with self.units.begin() as unit:
            return await store.known_file(unit.session, probe)

    async def remember(self, probe: str, sha256: str) -> None:
        async with self.units.begin() as unit:
            await store.remember_file(unit.session, probe, sha256, unit.now)

    async def recall_position(self, probe: str) -> str | None:
        async with self.units.begin() as unit:
            return await store.known_position(unit.session, probe)

    async def remember_position(self, probe: str, position: str) -> None:
        async with self.units.begin() as unit:
            await store.remember_position(unit.session, probe, position, unit.now)
