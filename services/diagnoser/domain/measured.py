"""What a measured series that left its range says: which cause it suggests, and what is the bottleneck (C11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from services.diagnoser.domain.signals import AnomalySeen
from shared.packs import Category

STRONG_SCORE = 6.0
"""From so many robust standard deviations on a series counts in full."""


class When(Enum):
    """In which direction a series is bad."""

    HIGH = "high"
    LOW = "low"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class MetricRule:
    """Speaks of a series whose name holds all of `words` (as parts of words, since names vary)."""

    words: tuple[str, ...]
    category: Category
    weight: float
    resource: str = ""
    """What is the bottleneck, if this is one."""
    when: When = When.HIGH


def _of(words: str, category: Category, weight: float, resource: str = "", when: When = When.HIGH) -> MetricRule:
    return MetricRule(tuple(words.split()), category, weight, resource, when)


METRICS: Sequence[MetricRule] = (
    _of("certificate expires", Category.CERTIFICATE, 0.6, when=When.LOW),
    _of("clock", Category.CLOCK, 0.5, when=When.EITHER),
    _of("dns", Category.DNS, 0.4),
    _of("restart", Category.CRASH_LOOP, 0.5),
    _of("lock wait", Category.LOCK_CONTENTION, 0.5, "locks in the database"),
    _of("lock", Category.LOCK_CONTENTION, 0.3, "locks in the database"),
    _of("pool wait", Category.POOL_STARVATION, 0.5, "the connection pool"),
    _of("pool idle", Category.POOL_STARVATION, 0.4, "the connection pool", When.LOW),
    _of("pool", Category.POOL_STARVATION, 0.4, "the connection pool"),
    _of("query", Category.DATABASE_CONNECTION, 0.35, "database queries"),
    _of("postgres duration", Category.DATABASE_CONNECTION, 0.35, "database queries"),
    _of("connection", Category.DATABASE_CONNECTION, 0.25, "database connections"),
    _of("throttl", Category.RATE_LIMIT, 0.4),
    _of("quota", Category.QUOTA, 0.4, when=When.EITHER),
    _of("shard", Category.HOT_KEY, 0.3, "one shard"),
    _of("key share", Category.HOT_KEY, 0.4, "one key"),
    _of("cpu", Category.OVERLOAD, 0.4, "the processor"),
    _of("memory", Category.RESOURCE_EXHAUSTION, 0.4, "memory"),
    _of("disk free", Category.DISK, 0.4, "the disk", When.LOW),
    _of("disk", Category.DISK, 0.4, "the disk"),
    _of("packet", Category.NETWORK, 0.4, "the network"),
    _of("retrans", Category.NETWORK, 0.4, "the network"),
    _of("job duration", Category.JOB_STUCK, 0.35, "slow jobs"),
    _of("job", Category.OVERLOAD, 0.3, "slow jobs"),
    _of("queue", Category.OVERLOAD, 0.3, "a queue"),
    _of("pending", Category.OVERLOAD, 0.3, "a queue"),
    _of("null", Category.DATA_QUALITY, 0.3),
    _of("invalid", Category.DATA_QUALITY, 0.3),
    _of("latency", Category.TIMEOUT, 0.2),
    _of("duration", Category.TIMEOUT, 0.2),
)
"""The most telling first; the first rule that fits speaks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one series says."""

    anomaly: AnomalySeen
    rule: MetricRule
    weight: float

    @property
    def words(self) -> str:
        usual = f"{self.anomaly.expected_low:.4g} to {self.anomaly.expected_high:.4g}"
        return f"{self.anomaly.metric} is {self.anomaly.observed:.4g}, usually {usual}"


def read(anomaly: AnomalySeen) -> Reading | None:
    """None: its name says nothing, or the direction is a good one."""
    name = anomaly.metric.lower()
    for rule in METRICS:
        if all(word in name for word in rule.words) and _is_bad(anomaly, rule.when):
            return Reading(anomaly, rule, rule.weight * min(1.0, abs(anomaly.score) / STRONG_SCORE))
    return None


def _is_bad(anomaly: AnomalySeen, when: When) -> bool:
    if when is When.EITHER:
        return True
    return anomaly.observed < anomaly.expected_low if when is When.LOW else anomaly.observed > anomaly.expected_high


def readings(anomalies: Iterable[AnomalySeen], component: str) -> list[Reading]:
    """What the series of a component say, the strongest first."""
    found = [reading for one in anomalies if one.component == component and (reading := read(one))]
    return sorted(found, key=lambda reading: (-reading.weight, reading.anomaly.metric))


def bottleneck(anomalies: Iterable[AnomalySeen], components: Sequence[str]) -> tuple[str, str] | None:
    """Component and words of what holds things up: of those that are used beyond their usual range, the strongest
    one, and of equal ones that of the component named last (the deepest)."""
    kept = list(anomalies)
    best: tuple[float, int, str, str] | None = None
    for depth, component in enumerate(components):
        for reading in readings(kept, component):
            if not reading.rule.resource:
                continue
            found = (reading.weight, depth, component, f"{reading.rule.resource} of {component}: {reading.words}")
            best = max(best, found) if best else found
    return (best[2], best[3]) if best else None
