"""From the series that Prometheus writes to readings of components, and why some are left out."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule, without_replica
from services.gateway.domain.ingest.prompb import RawSeries
from services.gateway.domain.ingest.seen import SeenSeries

MAX_SAMPLES = 50_000
MAX_LABELS = 64
MAX_NAME_CHARS = 190
"""A metric's; what is made of histograms adds to it."""
MAX_LABEL_CHARS = 200
MAX_VALUE_CHARS = 2_048
FUTURE_MS = 10 * 60_000
"""As far as Prometheus itself lets samples run ahead."""
OLD_MS = 48 * 3_600_000
"""As long as the stream keeps readings: what is older than this would be told to nobody."""
BATCH_READINGS = 2_000
BATCH_BYTES = 400_000
"""Roughly, so that a batch is well below what a message may hold."""
STALE_BITS = 0x7FF0_0000_0000_0002
"""The NaN by which Prometheus says that a series has ended."""


class LeftOut(StrEnum):
    """Why a sample was not taken."""

    STALE = "stale"
    REPEATED = "repeated"
    NO_NAME = "no-name"
    BAD_LABELS = "bad-labels"
    TOO_MANY_LABELS = "too-many-labels"
    LABEL_TOO_LONG = "label-too-long"
    OUT_OF_ORDER = "out-of-order"
    IN_THE_FUTURE = "in-the-future"
    TOO_OLD = "too-old"


AS_EXPECTED = frozenset({LeftOut.STALE, LeftOut.REPEATED})
"""Nothing is lost by these: the sender is told that all is well."""


@dataclass(frozen=True, slots=True)
class Reading:
    name: str
    value: float
    labels: Mapping[str, str]
    at_ms: int


@dataclass(slots=True)
class Batch:
    """Readings of one component that travel together."""

    component: str
    readings: list[Reading] = field(default_factory=list)
    marks: dict[int, int] = field(default_factory=dict)
    """Series → newest time in this batch."""
    samples: int = 0
    histograms: int = 0
    size: int = 0
    turn: int = 0
    """How many batches of the same component go before it in the request."""

    @property
    def at_ms(self) -> int:
        return max(reading.at_ms for reading in self.readings)

    @property
    def identity(self) -> UUID:
        """The same for the same readings, whoever sends them and however often."""
        digest = hashlib.blake2b(self.component.encode(), digest_size=16)
        for reading in self.readings:
            labels = sorted(reading.labels.items())
            digest.update(repr((reading.name, labels, reading.value, reading.at_ms)).encode(errors="replace"))
        return UUID(bytes=digest.digest(), version=5)


@dataclass(slots=True)
class Written:
    """What came of a request."""

    batches: list[Batch] = field(default_factory=list)
    samples: int = 0
    histograms: int = 0
    """Samples and histograms that need no further telling: taken, ended or known already."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    examples: dict[LeftOut, str] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        return sum(count for reason, count in self.left_out.items() if reason not in AS_EXPECTED)

    def explain(self) -> str:
        """How many were refused and why, with the first of each kind."""
        kinds = [
            f"{count} {reason.value} (such as {self.examples[reason]})"
            for reason, count in self.left_out.items()
            if reason not in AS_EXPECTED
        ]
        said = f"{self.refused} {'sample was' if self.refused == 1 else 'samples were'} refused"
        return f"{said}, the others taken: {', '.join(kinds)}"

    def leave_out(self, reason: LeftOut, example: str, count: int = 1) -> None:
        self.left_out[reason] += count
        self.examples.setdefault(reason, example[:120])


def written(series: Iterable[RawSeries], rule: ComponentRule, seen: SeenSeries, now_ms: int) -> Written:
    """Readings in batches, in the order in which they came. `seen` is asked, not told: note a batch's marks once it is
    stored.

    Raises:
        TooLargeError: more samples than one request may have. Nothing of it is to be taken.
    """
    return _Writer(rule, seen, now_ms).write(series)


@dataclass(frozen=True, slots=True)
class _Series:
    """A series whose labels are understood."""

    name: str
    labels: Mapping[str, str]
    component: str
    key: int
    size: int
    """About what one of its readings takes in a message."""


class _Writer:
    def __init__(self, rule: ComponentRule, seen: SeenSeries, now_ms: int) -> None:
        self._rule = rule
        self._seen = seen
        self._now_ms = now_ms
        self._written = Written()
        self._open: dict[str, Batch] = {}
        self._newest: dict[int, int] = {}
        """Series → newest time in this request."""

    def write(self, request: Iterable[RawSeries]) -> Written:
        count = 0
        for raw in request:
            count += len(raw.samples) + len(raw.histograms)
            if count > MAX_SAMPLES:
                raise TooLargeError(f"more than {MAX_SAMPLES} samples at once", "lower max_samples_per_send")
            self._series(raw)
        return self._written

    def _series(self, raw: RawSeries) -> None:
        problem = LeftOut.BAD_LABELS if raw.problem else check_labels(raw.labels)
        if problem is not None:
            name = raw.problem or next((value for label, value in raw.labels if label == "__name__"), "") or "no name"
            self._written.leave_out(problem, name, max(1, len(raw.samples) + len(raw.histograms)))
            return
        labels = without_replica(dict(raw.labels))
        name = labels.pop("__name__")
        if raw.samples:
            series = self._understood(name, labels)
            news, told = self._news(series, raw.samples)
            for value, at_ms in news:
                self._take(series, (Reading(name, value, labels, at_ms),)).samples += 1
            self._written.samples += told
        if raw.histograms:
            series = self._understood(f"{name}_count", labels)
            counts = {at_ms: count for count, _, at_ms in raw.histograms}
            news, told = self._news(series, [(total, at_ms) for _, total, at_ms in raw.histograms])
            for total, at_ms in news:
                count = Reading(f"{name}_count", counts[at_ms], labels, at_ms)
                self._take(series, (count, Reading(f"{name}_sum", total, labels, at_ms))).histograms += 1
            self._written.histograms += told

    def _understood(self, name: str, labels: Mapping[str, str]) -> _Series:
        component = self._rule.component_of(labels)
        key = hash((name, component, tuple(sorted(labels.items()))))
        size = 100 + len(name) + sum(len(label) + 2 * len(value) + 6 for label, value in labels.items())
        return _Series(name, labels, component, key, size)

    def _news(self, series: _Series, samples: Sequence[tuple[float, int]]) -> tuple[list[tuple[float, int]], int]:
        """Samples that are news, and how many need no further telling. The others are counted with their reason."""
        news: list[tuple[float, int]] = []
        refused = 0
        before: int | None = None
        for value, at_ms in samples:
            reason = self._judge(series, value, at_ms, before)
            before = at_ms if before is None else max(before, at_ms)
            if reason is None:
                self._newest[series.key] = at_ms
                news.append((value, at_ms))
                continue
            self._written.leave_out(reason, series.name)
            refused += reason not in AS_EXPECTED
        return news, len(samples) - refused

    def _judge(self, series: _Series, value: float, at_ms: int, before: int | None) -> LeftOut | None:
        if at_ms > self._now_ms + FUTURE_MS:
            return LeftOut.IN_THE_FUTURE
        if at_ms < self._now_ms - OLD_MS:
            return LeftOut.TOO_OLD
        if before is not None and at_ms < before:
            return LeftOut.OUT_OF_ORDER
        if is_stale(value):
            return LeftOut.STALE
        newest = self._newest.get(series.key)
        if newest is None:
            newest = self._seen.newest(series.key)
        # Of two senders of the same series one is always late, so late by another's time is no fault.
        return LeftOut.REPEATED if newest is not None and at_ms <= newest else None

    def _take(self, series: _Series, readings: Sequence[Reading]) -> Batch:
        batch = self._open.get(series.component)
        size = series.size * len(readings)
        if (
            batch is None
            or len(batch.readings) + len(readings) > BATCH_READINGS
            or (batch.readings and batch.size + size > BATCH_BYTES)
        ):
            turn = 0 if batch is None else batch.turn + 1
            batch = self._open[series.component] = Batch(series.component, turn=turn)
            self._written.batches.append(batch)
        batch.readings.extend(readings)
        batch.size += size
        batch.marks[series.key] = readings[-1].at_ms
        return batch


def check_labels(labels: Sequence[tuple[str, str]]) -> LeftOut | None:
    """Why a series of these labels can't be used. Order and empty values are forgiven: nothing is lost by them."""
    if len(labels) > MAX_LABELS:
        return LeftOut.TOO_MANY_LABELS
    names = {name for name, _ in labels}
    if len(names) < len(labels) or "" in names:
        return LeftOut.BAD_LABELS
    for name, value in labels:
        if name == "__name__":
            if not value:
                return LeftOut.NO_NAME
            if len(value) > MAX_NAME_CHARS:
                return LeftOut.LABEL_TOO_LONG
        elif len(name) > MAX_LABEL_CHARS or len(value) > MAX_VALUE_CHARS:
            return LeftOut.LABEL_TOO_LONG
    return None if "__name__" in names else LeftOut.NO_NAME


def is_stale(value: float) -> bool:
    """Whether this is the one NaN that ends a series; any other NaN is a value.

    >>> is_stale(struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]), is_stale(float("nan")), is_stale(1.0)
    (True, False, False)
    """
    return value != value and int.from_bytes(struct.pack("<d", value), "little") == STALE_BITS
