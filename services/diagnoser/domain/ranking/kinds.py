"""What a series measures, told by the words of its name: how its trouble spreads depends on it."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    """`ERRORS` is a share of calls or a rate of failures, `SUCCESS` a share of calls that were answered well."""

    MEMORY = "memory"
    CPU = "cpu"
    RESOURCE = "resource"
    LATENCY = "latency"
    ERRORS = "errors"
    SUCCESS = "success"
    LOAD = "load"
    OTHER = "other"


RESOURCES = frozenset({Kind.MEMORY, Kind.CPU, Kind.RESOURCE})
"""What a component uses up itself: a cause of its own. Latency and errors may come from a callee, load from callers."""
FAILURES = frozenset({Kind.ERRORS, Kind.SUCCESS})

_WORDS: tuple[tuple[Kind, frozenset[str]], ...] = (
    (Kind.CPU, frozenset({"cpu", "cpus", "throttled"})),
    (Kind.MEMORY, frozenset({"mem", "memory", "rss", "heap", "oom"})),
    (Kind.SUCCESS, frozenset({"availability", "available", "success", "successes", "up"})),
    (Kind.ERRORS, frozenset({"error", "errors", "err", "failure", "failures", "failed", "exceptions", "5xx", "fault"})),
    (Kind.LATENCY, frozenset({"latency", "lat", "duration", "elapsed", "response", "wait", "delay", "rtt"})),
    (
        Kind.RESOURCE,
        frozenset({"disk", "filesystem", "io", "connections", "fds", "threads", "pool", "queue", "pending", "swap"}),
    ),
    (
        Kind.LOAD,
        frozenset({"requests", "request", "calls", "load", "lod", "rps", "qps", "throughput", "traffic", "hits"}),
    ),
)
_SHARES = frozenset({"ratio", "percent", "pct", "share", "fraction", "availability", "available", "success", "up"})
_MEANS = frozenset({"avg", "average", "mean"})
_MEDIANS = frozenset({"p50", "50", "median"})


def _split(metric: str) -> tuple[str, ...]:
    return tuple(re.split(r"[^a-z0-9]+", metric.lower()))


@lru_cache(maxsize=8_192)
def kind_of(metric: str) -> Kind:
    """The first kind that has a word of the name.

    >>> [kind_of(name).value for name in ("http_request_duration_seconds", "resident_memory_bytes", "requests_count")]
    ['latency', 'memory', 'load']
    """
    words = _split(metric)
    if words[-1] == "count" and not set(words) & _of(Kind.ERRORS):
        return Kind.LOAD
    return next((kind for kind, telling in _WORDS if telling & set(words)), Kind.OTHER)


@lru_cache(maxsize=8_192)
def is_share(metric: str) -> bool:
    """Whether failures (or successes) are told as a share of calls, in percent or not; otherwise as an amount."""
    return bool(_SHARES & set(_split(metric)))


def _of(kind: Kind) -> frozenset[str]:
    return next(words for one, words in _WORDS if one is kind)


@lru_cache(maxsize=8_192)
def additive_order(metric: str) -> int:
    """Means add up along calls, medians nearly, high percentiles don't: the lower the better to compare with callees.

    >>> sorted(("lat_p99", "lat_p50", "lat_avg"), key=additive_order)
    ['lat_avg', 'lat_p50', 'lat_p99']
    """
    words = set(_split(metric))
    if words & _MEANS:
        return 0
    if words & _MEDIANS:
        return 1
    return 3 if any(re.fullmatch(r"p?\d{2,3}", word) for word in words) else 2
