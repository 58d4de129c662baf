"""Who calls whom: what packs declare, together with what traces show.

A single trace may mislead, and systems change: an observed call counts once it was seen often enough, and for as long
as it is still seen. Circles, which packs may not declare, occur in what is observed; the graph is walked safely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.diagnoser.domain.graph import CallGraph


@dataclass(frozen=True, slots=True)
class Observed:
    """Calls from one component to another, as seen so far."""

    caller: str
    callee: str
    count: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Trust:
    """When an observed call counts: seen at least `min_count` times, and within `window`."""

    window: timedelta = timedelta(hours=24)
    min_count: int = 3

    def holds(self, edge: Observed, now: datetime) -> bool:
        return edge.count >= self.min_count and edge.last_seen >= now - self.window


def joined(
    declared: Mapping[str, tuple[str, ...]], observed: Iterable[Observed], now: datetime, trust: Trust
) -> CallGraph:
    """One graph of both. What a pack declares is not said to be observed, though it may be."""
    calls = {caller: list(callees) for caller, callees in declared.items()}
    from_traces = set()
    for edge in observed:
        known = calls.setdefault(edge.caller, [])
        if edge.caller != edge.callee and edge.callee not in known and trust.holds(edge, now):
            known.append(edge.callee)
            from_traces.add((edge.caller, edge.callee))
    return CallGraph({caller: tuple(callees) for caller, callees in calls.items()}, frozenset(from_traces))
