"""The optimizer's side of the telemetry partitions, and what it reads of the packs."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from services.optimizer.domain.latency import Labels
from services.optimizer.domain.partition import (
    HISTOGRAMS,
    ComponentState,
    Counted,
    Measured,
    Pace,
    Partition,
    Readings,
    Recommended,
    Watched,
)
from services.optimizer.domain.tuning import Dial, Rules
from shared.contracts.base import Event
from shared.contracts.ingest import Change, MetricBatch, Sample
from shared.packs.book import PackBook, Placed
from shared.packs.expressions import condition_holds
from shared.packs.model import Knob, Pack, Ratio

log = structlog.get_logger()

_STATE = TypeAdapter(dict[str, ComponentState])
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "seconds": 1.0, "min": 60.0}
_BUCKET = "_bucket"


@dataclass(frozen=True, slots=True)
class Found:
    """Something a fold found, with the server's time of the reading that gave rise to it."""

    at: datetime
    effect: Recommended | Measured


class Knobs:
    """The timeouts that packs let the optimizer turn, and the counters that tell a component's failed requests."""

    def __init__(self, packs: PackBook) -> None:
        self._packs = packs
        self._watched: dict[str, tuple[Watched, ...]] = {}
        packs.on_change(self._watched.clear)

    def __call__(self, component: str) -> tuple[Watched, ...]:
        found = self._watched.get(component)
        if found is None:
            placed = self._packs.component(component)
            if placed is None:
                return ()
            found = self._watched[component] = tuple(_timeouts(placed, component))
        return found

    def ratio(self, component: str) -> Ratio:
        """How the pack tells failed requests: the component's own, that for all, or the default."""
        placed = self._packs.component(component)
        ratios = placed.pack.ratios if placed else ()
        fitting = [one for name in (component, "*") for one in ratios if one.component == name]
        return fitting[0] if fitting else Ratio()


def _timeouts(placed: Placed, component: str) -> list[Watched]:
    return [
        _watched(placed.pack, knob)
        for knob in placed.pack.knobs
        if knob.component == component and "timeout" in knob.name and knob.objective.minimise.startswith("latency")
    ]


def _watched(pack: Pack, knob: Knob) -> Watched:
    value = knob.apply.file_set.value
    declared = float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
    guard = knob.objective.guard
    dial = Dial(knob.minimum, knob.maximum, knob.step_ratio, unit_s(knob))
    prefix = knob.component.replace("-", "_")
    return Watched(
        pack.pack,
        knob.name,
        dial,
        declared,
        (f"{prefix}_{knob.name}", knob.name),
        lambda error_ratio: guard is None or condition_holds(guard, {"errors": {"ratio": error_ratio}}).holds,
    )


def unit_s(knob: Knob) -> float:
    """Seconds in one unit of the knob: by its unit, else by the end of its name, else milliseconds."""
    return _UNITS_S.get(knob.unit) or _UNITS_S.get(knob.name.rsplit("_", 1)[-1]) or 1e-3


class TuningFold:
    """One partition's windows. Replaying the same messages gives the same recommendations."""

    def __init__(self, rules: Rules, pace: Pace, window_s: float, knobs: Knobs) -> None:
        self._knobs = knobs
        self._partition = Partition(rules, pace, window_s, knobs)

    def restore(self, snapshot: bytes | None) -> None:
        if snapshot is None:
            return
        try:
            self._partition.load(_STATE.validate_json(zlib.decompress(snapshot)))
        except (ValidationError, zlib.error) as error:
            log.warning("snapshot of another release; windows begin anew", error=str(error).splitlines()[0])

    def snapshot(self) -> bytes:
        return zlib.compress(_STATE.dump_json(self._partition.dump()), level=1)

    def apply(self, event: Event, at: datetime) -> Sequence[Found]:
        if isinstance(event, MetricBatch):
            knobs = self._knobs(event.component)
            readings = _readings(event, at, knobs, self._knobs.ratio(event.component)) if knobs else _NOTHING
            return [Found(at, effect) for effect in self._partition.read(event.component, readings)]
        if isinstance(event, Change):
            self._partition.changed(event.component)
        return ()


_NOTHING = Readings(0.0, (), {}, ())


def _readings(batch: MetricBatch, at: datetime, knobs: Sequence[Watched], ratio: Ratio) -> Readings:
    names = {name for knob in knobs for name in knob.gauges}
    matches = [(label, re.compile(pattern).fullmatch) for label, pattern in ratio.errors_match.items()]
    buckets: list[tuple[str, Labels, str, float]] = []
    gauges: dict[str, float] = {}
    requests: list[Counted] = []
    for sample in batch.samples:
        if not math.isfinite(sample.value):
            continue
        metric = sample.name.removesuffix(_BUCKET)
        if metric in HISTOGRAMS and sample.name != metric and _is_bound(sample.labels.get("le", "")):
            buckets.append((metric, _labels(sample, "le"), sample.labels["le"], sample.value))
        elif sample.name in names:
            gauges[sample.name] = sample.value
        elif sample.name in (ratio.errors, ratio.total):
            failed = sample.name == ratio.errors and _all_match(sample, matches)
            requests.append(Counted(sample.name, _labels(sample), sample.value, sample.name == ratio.total, failed))
    at_s = min(batch.at, at).timestamp()  # a source's clock may be ahead; time must not go back when it is set right
    return Readings(at_s, buckets, gauges, requests)


def _all_match(sample: Sample, matches: Sequence[tuple[str, Callable[[str], object]]]) -> bool:
    return all(match(sample.labels.get(label, "")) for label, match in matches)


def _is_bound(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _labels(sample: Sample, without: str = "") -> Labels:
    return tuple(sorted((key, value) for key, value in sample.labels.items() if key != without))
