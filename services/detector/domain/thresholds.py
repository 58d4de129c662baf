"""Fixed limits on metrics: the product's defaults (requirements B02–B04) and the packs' own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from services.detector.domain.signals import Fact, Finding, Method, Severity
from shared.packs.model import Rule

CLEAR_AFTER = 2
"""Readings within the limit, in a row, that end an incident."""


@dataclass(frozen=True)
class Limit:
    """One bound of one metric; exactly one of `above` and `below` is set."""

    metric: str
    severity: Severity
    above: float | None = None
    below: float | None = None
    for_s: float = 0.0
    rate: bool = False
    clear: float | None = None
    """Once broken, the limit stays so until a reading is at or beyond this, on the good side."""
    match: tuple[tuple[str, str], ...] = ()
    """Label and regular expression: the series that it holds for."""
    said: str = ""
    id: str = ""
    """The pattern of its incidents; empty: made from the metric."""

    @property
    def key(self) -> str:
        bound = f">{self.above:g}" if self.above is not None else f"<{self.below:g}"
        chosen = ",".join(f"{label}=~{pattern}" for label, pattern in self.match)
        return f"{'rate:' if self.rate else ''}{self.metric}{bound}" + (f"{{{chosen}}}" if chosen else "")

    @cached_property
    def _compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((label, re.compile(pattern)) for label, pattern in self.match)

    def holds_for(self, name: str, labels: Mapping[str, str]) -> bool:
        return name == self.metric and all(p.fullmatch(labels.get(label, "")) for label, p in self._compiled)

    def cleared_by(self, value: float) -> bool:
        if self.clear is None:
            return not self.broken_by(value)
        return value <= self.clear if self.above is not None else value >= self.clear

    def broken_by(self, value: float) -> bool:
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below


DEFAULT_LIMITS = (
    Limit("host_cpu_percent", Severity.CRITICAL, above=90.0, for_s=30.0),
    Limit("host_memory_percent", Severity.CRITICAL, above=90.0),
    Limit("host_disk_percent", Severity.CRITICAL, above=95.0),
)


def limit_of(rule: Rule) -> Limit:
    return Limit(
        rule.metric,
        Severity(rule.severity.value),
        rule.above,
        rule.below,
        rule.for_s,
        rule.rate,
        rule.clear_below if rule.above is not None else rule.clear_above,
        tuple(sorted(rule.labels.items())),
        rule.summary,
        rule.id or "",
    )


def in_force(rules: Iterable[Limit]) -> tuple[Limit, ...]:
    """The given limits, and the defaults for metrics they don't speak of."""
    given = tuple(rules)
    spoken_of = {limit.metric for limit in given}
    return given + tuple(limit for limit in DEFAULT_LIMITS if limit.metric not in spoken_of)


@dataclass(slots=True)
class Breach:
    """Since when a series has been beyond one limit without a pause; None while it is within."""

    since: float | None = None
    told: bool = False
    """It has lasted long enough to be told, and has not cleared since."""


def observe(breach: Breach, limit: Limit, value: float, at: float) -> bool | None:
    """True: beyond the limit for long enough; False: within it; None: beyond, but not yet for `for_s`.

    >>> breach, limit = Breach(), Limit("cpu", Severity.CRITICAL, above=90, for_s=30)
    >>> [observe(breach, limit, 95, at) for at in (0, 20, 30)], observe(breach, limit, 50, 31)
    ([None, None, True], False)
    """
    if limit.cleared_by(value) if breach.told else not limit.broken_by(value):
        breach.since, breach.told = None, False
        return False
    if breach.since is None:
        breach.since = at
    breach.told = breach.told or at - breach.since >= limit.for_s
    return True if breach.told else None


def finding(
    component: str,
    limit: Limit,
    series: str,
    labels: Mapping[str, str],
    value: float,
    at: float,
    since: float | None = None,
) -> Finding:
    """`series` is the metric's name with its labels: two disks are two troubles."""
    side, bound = ("above", limit.above) if limit.above is not None else ("below", limit.below)
    held = f" for {limit.for_s:g} s" if limit.for_s else ""
    what = f"{series}{' per second' if limit.rate else ''}"
    return Finding(
        component=component,
        method=Method.THRESHOLD,
        subject=subject(limit, series),
        pattern=pattern_of(limit),
        severity=limit.severity,
        summary=f"{component}: {what} is {value:.6g}, {side} {bound:g}{held}"
        + (f": {fill(limit.said, labels, value)}" if limit.said else ""),
        at=at,
        fact=Fact(what, value, at, component, f"{'at most' if side == 'above' else 'at least'} {bound:g}"),
        labels={"metric": limit.metric, **labels},
        since=since,
    )


def fill(template: str, labels: Mapping[str, str], value: float) -> str:
    """A summary with its `{{ $labels.x }}` and `{{ $value }}` filled in; other placeholders fall out.

    >>> fill("{{ $labels.disk }} is {{ $value | humanize }} % full{{ else }}", {"disk": "sda"}, 97.123)
    'sda is 97.12 % full'
    """

    def filled(found: re.Match[str]) -> str:
        inside = found[1]
        if label := re.search(r"\$labels\.(\w+)", inside):
            return labels.get(label[1], "")
        return f"{value:.4g}" if "$value" in inside else ""

    return re.sub(r"\{\{(.*?)\}\}", filled, template)[:300]


def subject(limit: Limit, series: str) -> str:
    return series + limit.key.removeprefix("rate:").removeprefix(limit.metric) + ("/s" if limit.rate else "")


def pattern_of(limit: Limit) -> str:
    """`cpu-high`, `memory-high`, `disk-high`, `latency-high`; other metrics by their whole name."""
    if limit.id:
        return limit.id
    words = limit.metric.lower().split("_")
    topic = next((t for t in ("cpu", "memory", "disk", "latency") if t in words), "-".join(words))
    return f"{topic}-{'high' if limit.above is not None else 'low'}"
