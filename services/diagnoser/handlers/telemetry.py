"""The diagnoser's side of the telemetry partitions: readings in, what deviates out to a table all replicas read."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.diagnoser import store
from services.diagnoser.domain.ranking import MemoryState
from services.diagnoser.domain.ranking.watch import ComponentState, Reading, Told, Watch
from shared.contracts.base import Event
from shared.contracts.ingest import Check, CheckResult, MetricBatch, Sample
from shared.outbox import Unit
from shared.packs.book import PackBook

log = structlog.get_logger()

KINDS = ("metrics", "checks")
_ANSWERED = frozenset({CheckResult.OK, CheckResult.SLOW})


class TelemetryFold:
    """One partition's memories. A snapshot keeps them thinned out: after a takeover ranking is a little coarser.

    What is told is an upsert, so that telling it twice is harmless."""

    def __init__(self) -> None:
        self._watch = Watch()

    def restore(self, snapshot: bytes | None) -> None:
        if not snapshot:
            return
        try:
            self._watch.load(decode(snapshot))
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            log.warning("snapshot of another release; series begin anew", error=f"{type(error).__name__}: {error}")

    def snapshot(self) -> bytes:
        return encode(self._watch.dump())

    def apply(self, event: Event, at: datetime) -> Sequence[Told]:
        if isinstance(event, MetricBatch):
            told = self._watch.readings(event.component, [_reading(one, event, at) for one in event.samples])
        elif isinstance(event, Check):
            told = self._watch.readings(event.component, _of_check(event, min(event.at, at).timestamp()))
        else:
            return ()
        return (told,) if told is not None else ()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Keeps what folds tell, and has open incidents looked at again when that is news."""

    packs: PackBook
    settle: timedelta

    async def save(self, unit: Unit, told: Sequence[Told]) -> None:
        """The newest of each component, in order of name: so replicas don't wait for each other in a circle."""
        newest = {one.seen.component: one for one in told}
        for component, one in sorted(newest.items()):
            if await store.telemetry.save_telemetry(unit.session, one):
                touched = {component, *self.packs.dependents_of(component)}
                await store.incidents.look_again(unit.session, touched, unit.now + self.settle, but=None)


def _reading(sample: Sample, batch: MetricBatch, at: datetime) -> Reading:
    labels = tuple(sorted(sample.labels.items())) if sample.labels else ()
    return Reading(sample.name, labels, sample.value, min(sample.at or batch.at, at).timestamp())


def _of_check(event: Check, at_s: float) -> list[Reading]:
    probe = event.probe.replace(",", " ")
    failed = 0.0 if event.result in _ANSWERED else 1.0
    readings = [Reading("probe_failure_ratio", (("probe", probe),), failed, at_s)]
    if event.latency_ms is not None and not failed:
        readings.append(Reading("probe_latency_ms", (("probe", probe),), event.latency_ms, at_s))
    return readings


# ---- snapshots


def encode(state: dict[str, ComponentState]) -> bytes:
    body = {
        name: {
            "noticed_s": one.noticed_s,
            "deviated_s": one.deviated_s if one.noticed_s is not None else None,
            "series": {
                metric: [memory.origin, b64encode(memory.times).decode(), b64encode(memory.values).decode()]
                for metric, memory in one.series.items()
            },
        }
        for name, one in state.items()
    }
    return zlib.compress(json.dumps(body).encode(), level=1)


def decode(snapshot: bytes) -> dict[str, ComponentState]:
    body = json.loads(zlib.decompress(snapshot))
    return {
        name: ComponentState(
            {
                metric: MemoryState(float(origin), b64decode(times), b64decode(values))
                for metric, (origin, times, values) in one["series"].items()
            },
            one["noticed_s"],
            float("-inf") if one["deviated_s"] is None else float(one["deviated_s"]),
        )
        for name, one in body.items()
    }
