"""Signals of the shop, sampled for the plots: what customers got, and the memory of the component that leaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from examples.shop.control import Shop

EVERY_S = 0.5


@dataclass
class Signals:
    """Readings at `at`: resident memory of one component in bytes (None while it is down)."""

    component: str
    at: list[datetime] = field(default_factory=list)
    memory_bytes: list[float | None] = field(default_factory=list)

    async def sample(self, shop: Shop) -> None:
        """Samples until cancelled."""
        while True:
            self.at.append(datetime.now(UTC))
            self.memory_bytes.append(self._memory(shop))
            await asyncio.sleep(EVERY_S)

    def _memory(self, shop: Shop) -> float | None:
        pid = shop.pid(self.component)
        if pid is None:
            return None
        try:
            return float(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return None
