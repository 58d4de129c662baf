"""The predictor's side of the telemetry partitions: wire types in, domain revisions out."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from services.predictor.domain.forecast import Rules
from services.predictor.domain.partition import (
    PROCESS_START,
    ComponentState,
    Partition,
    Reading,
    Revision,
    Watched,
)
from services.predictor.domain.watch import Pace
from shared.contracts.base import Event
from shared.contracts.ingest import Change, MetricBatch, Sample
from shared.packs.book import PackBook

log = structlog.get_logger()

_STATE = TypeAdapter(dict[str, ComponentState])


@dataclass(frozen=True, slots=True)
class Told:
    """A revision with the server's time of the reading that gave rise to it."""

    at: datetime
    revision: Revision


class Watchlist:
    """What the packs say of each component, worked out once per change of the packs."""

    def __init__(self, packs: PackBook) -> None:
        self._packs = packs
        self._watched: dict[str, Watched] = {}
        packs.on_change(self._watched.clear)

    def __call__(self, component: str) -> Watched:
        found = self._watched.get(component)
        if found is None:
            found = self._find(component)
            if found.limits:  # names that no pack knows come from outside: don't collect them
                self._watched[component] = found
        return found

    def _find(self, component: str) -> Watched:
        placed = self._packs.component(component)
        if placed is None:
            return Watched()
        limits = {limit.metric: limit for limit in placed.pack.limits if limit.component == component}
        traffic = next((one for one in placed.pack.traffic if one.component == component), None)
        return Watched(limits, traffic)


class PredictionFold:
    """One partition's series. Replaying the same messages gives the same revisions."""

    def __init__(self, rules: Rules, pace: Pace, watched: Callable[[str], Watched]) -> None:
        self._watched = watched
        self._partition = Partition(rules, pace, watched)

    def restore(self, snapshot: bytes | None) -> None:
        if snapshot is None:
            return
        try:
            self._partition.load(_STATE.validate_json(zlib.decompress(snapshot)))
        except (ValidationError, zlib.error) as error:
            log.warning("snapshot of another release; series begin anew", error=str(error).splitlines()[0])

    def snapshot(self) -> bytes:
        return zlib.compress(_STATE.dump_json(self._partition.dump()), level=1)

    def apply(self, event: Event, at: datetime) -> Sequence[Told]:
        if isinstance(event, MetricBatch):
            readings = self._readings(event, at)
            revisions = self._partition.readings(event.component, readings, at.timestamp())
            return [Told(at, revision) for revision in revisions]
        if isinstance(event, Change):
            self._partition.changed(event.component)
        return ()

    def _readings(self, batch: MetricBatch, at: datetime) -> list[Reading]:
        watched = self._watched(batch.component)
        names = {PROCESS_START, *watched.limits}
        if watched.traffic is not None:
            names.add(watched.traffic.metric)
        return [
            Reading(sample.name, tuple(sorted(sample.labels.items())), sample.value, _when(sample, batch, at))
            for sample in batch.samples
            if sample.name in names and math.isfinite(sample.value)
        ]


def _when(sample: Sample, batch: MetricBatch, at: datetime) -> float:
    """The source's time: steady where delivery isn't. A clock that is ahead must not stop time when it is set right."""
    return min(sample.at or batch.at, at).timestamp()
