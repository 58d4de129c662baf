"""The graph of calls, kept up with what packs declare and what traces show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.diagnoser import store
from services.diagnoser.domain import CallGraph
from services.diagnoser.domain.topology import Observed, Trust, joined
from shared.contracts.ingest import ObservedCalls
from shared.outbox import Unit
from shared.packs.book import PackBook

FRESH = timedelta(seconds=5)
"""Another replica may have heard of calls meanwhile: they are read again after this long."""


@dataclass
class Topology:
    packs: PackBook
    trust: Trust
    _observed: Sequence[Observed] = field(default=())
    _read_at: datetime | None = field(default=None)

    async def calls(self, event: ObservedCalls, unit: Unit) -> None:
        """Adds to what is known of these calls. A sender's clock that runs ahead keeps nothing alive for longer."""
        at = min(event.at, unit.now)
        if event.callee == event.component or at < unit.now - self.trust.window:
            return
        edge = store.calls.CallsSeen(
            event.component, event.callee, event.count, event.errors, event.duration_sum_ms, at
        )
        count = await store.calls.take_calls(unit.session, edge, at - self.trust.window)
        if count - event.count < self.trust.min_count <= count:
            self._read_at = None

    async def graph(self, unit: Unit) -> CallGraph:
        """Declared and observed calls; the latter at most FRESH old."""
        if self._read_at is None or unit.now - self._read_at > FRESH:
            since = unit.now - self.trust.window
            self._observed = await store.calls.observed_calls(unit.session, since, self.trust.min_count)
            self._read_at = unit.now
        declared = {
            name: one.calls for applied in self.packs.packs.values() for name, one in applied.pack.components.items()
        }
        return joined(declared, self._observed, unit.now, self.trust)

    async def prune(self, unit: Unit) -> None:
        await store.calls.prune_calls(unit.session, unit.now - self.trust.window)
