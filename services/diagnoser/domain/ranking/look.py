"""From remembered readings to a ranking: what both production and the benches call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from services.diagnoser.domain.ranking.kinds import Kind, kind_of
from services.diagnoser.domain.ranking.memory import Floats, SeriesMemory
from services.diagnoser.domain.ranking.rank import Deviation, Seen
from services.diagnoser.domain.ranking.shift import Shift, find_shift, search_start

type Memories = Mapping[str, SeriesMemory]
"""A component's series by metric, labels in the name."""


def look_at(component: str, memories: Memories, noticed_s: float) -> Seen:
    """Deviations of one component around `noticed_s`."""
    shifts: list[tuple[str, Kind, Shift]] = []
    loads: list[tuple[Floats, Floats]] = []
    levels: dict[str, float] = {}
    kinds: set[Kind] = set()
    for metric, memory in sorted(memories.items()):
        kind = kind_of(metric)
        times, values = memory.readings()
        if len(times) == 0:
            continue
        kinds.add(kind)
        if kind is Kind.LOAD:
            loads.append((times, values))
        elif kind is Kind.MEMORY:
            levels[metric] = float(np.median(values[: search_start(times, noticed_s) or len(times)]))
        shift = find_shift(times, values, metric, noticed_s)
        if shift is not None:
            shifts.append((metric, kind, shift))
    found = tuple(_deviation(component, *one, loads) for one in shifts)
    return Seen(component, found, levels, frozenset(kinds))


def _deviation(
    component: str, metric: str, kind: Kind, shift: Shift, loads: Sequence[tuple[Floats, Floats]]
) -> Deviation:
    return Deviation(
        component=component,
        metric=metric,
        kind=kind,
        onset_s=shift.onset_s,
        until_s=shift.until_s,
        before=shift.before,
        after=shift.after,
        score=shift.score,
        noise=shift.noise,
        every_s=shift.every_s,
        lost=shift.lost,
        over=shift.over,
        stale=shift.stale,
        calls=max((_during(times, values, shift) for times, values in loads), default=None),
    )


def _during(times: Floats, values: Floats, shift: Shift) -> float:
    """A load's level in an episode; its usual one when no reading falls into it."""
    inside = values[(times >= shift.onset_s) & (times <= shift.until_s)]
    return float(np.mean(inside if len(inside) else values))
