"""What of a request could not be taken and why; and readings in batches that a message can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.gateway.domain.ingest.remote_write import BATCH_BYTES, BATCH_READINGS, FUTURE_MS, OLD_MS, Batch, Reading

NS_PER_MS = 1_000_000


class Reason(StrEnum):
    """Why a point, a line or a span was rejected."""

    NO_NAME = "no-name"
    NO_TYPE = "no-type"
    NO_TIME = "no-time"
    NO_INTERVAL = "no-interval"
    BAD_HISTOGRAM = "bad-histogram"
    BAD_ID = "bad-id"
    BAD_TIMES = "bad-times"
    IN_THE_FUTURE = "in-the-future"
    TOO_OLD = "too-old"


@dataclass(slots=True)
class Rejected:
    """Counted, with the first of each kind."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, str] = field(default_factory=dict)

    def add(self, reason: Reason, example: str, count: int = 1) -> None:
        self.reasons[reason] += count
        self.examples.setdefault(reason, example[:120])

    @property
    def count(self) -> int:
        return self.reasons.total()

    def explain(self) -> str:
        """
        >>> rejected = Rejected()
        >>> rejected.add(Reason.NO_TIME, "cpu")
        >>> rejected.explain()
        "rejected: 1 no-time (such as 'cpu')"
        """
        kinds = [f"{count} {reason} (such as {self.examples[reason]!r})" for reason, count in self.reasons.items()]
        return f"rejected: {', '.join(kinds)}" if kinds else ""


def time_problem(at_ns: int, now_ns: int) -> Reason | None:
    """What is wrong with a time, if anything is. The bounds are those of remote write."""
    if at_ns == 0:
        return Reason.NO_TIME
    if at_ns > now_ns + FUTURE_MS * NS_PER_MS:
        return Reason.IN_THE_FUTURE
    return Reason.TOO_OLD if at_ns < now_ns - OLD_MS * NS_PER_MS else None


class Batches:
    """Readings by component, cut where a message would grow too large."""

    def __init__(self) -> None:
        self.done: list[Batch] = []
        self._open: dict[str, Batch] = {}

    def add(self, component: str, readings: Sequence[Reading]) -> None:
        if not readings:
            return
        size = sum(_size(reading) for reading in readings)
        batch = self._open.get(component)
        full = batch is not None and (
            len(batch.readings) + len(readings) > BATCH_READINGS or batch.size + size > BATCH_BYTES
        )
        if batch is None or full:
            batch = self._open[component] = Batch(component)
            self.done.append(batch)
        batch.readings.extend(readings)
        batch.size += size


def _size(reading: Reading) -> int:
    return 100 + len(reading.name) + _length(reading.labels.items())


def _length(labels: Iterable[tuple[str, str]]) -> int:
    return sum(len(name) + 2 * len(value) + 6 for name, value in labels)
