"""Data that came regularly and has stopped: of a whole component, of one metric that rules need, of a probe.

Time is that of the messages: silence is judged only on the partition's own ticks, and after a pause of these (nobody
was watching, or a replay) it is counted anew. Only what packs name can be missed: other series may come and go.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.detector.domain.signals import Fact, Finding, Method, Severity

FLOOR_S = 60.0
TIMES = 5.0
"""How many times the longest usual pause is a silence."""
LEARNED = 10
"""Arrivals after which the usual pause is known."""
FADE = 0.98
"""How much of the longest pause each arrival leaves: a single long one is forgotten after some hundred."""
LEAST_PAUSE_S = 0.4
TICK_GAP_S = 30.0
"""Ticks further apart than this: nobody watched in between."""
METRICS = "metrics"
"""All metrics of a component."""


@dataclass(slots=True)
class Regular:
    """When something last came, and how long it is silent at most. Seconds of the server."""

    seen: float
    pause_s: float = 0.0
    count: int = 1
    told: bool = False

    def came(self, now: float) -> None:
        pause_s, self.seen = now - self.seen, now
        if pause_s >= LEAST_PAUSE_S:  # several messages at once are one arrival
            self.pause_s = max(pause_s, self.pause_s * FADE)
            self.count += 1

    def allowed_s(self, within_s: float | None) -> float | None:
        """How long it may be silent: as asked, or as learned; None: not yet known."""
        if within_s is not None:
            return within_s
        return max(FLOOR_S, TIMES * self.pause_s) if self.count >= LEARNED else None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a pack says must keep coming; `within_s` None: as regularly as it does. Empty metric: any at all."""

    metric: str = ""
    match: tuple[tuple[str, str], ...] = ()
    within_s: float | None = None
    severity: Severity = Severity.WARNING

    @property
    def key(self) -> str:
        chosen = ",".join(f"{label}=~{pattern}" for label, pattern in self.match)
        return (self.metric or METRICS) + (f"{{{chosen}}}" if chosen else "")


def subject(key: str) -> str:
    return f"absent:{key}"


def finding(component: str, key: str, regular: Regular, allowed_s: float, severity: Severity, now: float) -> Finding:
    """A failing probe, or an exit, explains it."""
    whole, probe = key == METRICS, key.startswith("probe:")
    what = "all metrics" if whole else key.removeprefix("probe:")
    silent_s = now - regular.seen
    return Finding(
        component=component,
        method=Method.PROBE if probe else Method.THRESHOLD,
        subject=subject(key),
        pattern="metrics-absent" if whole else "probe-absent" if probe else "series-absent",
        severity=severity,
        summary=f"{component}: nothing of {what} for {silent_s:.0f} s, where {allowed_s:.0f} s are usual at most",
        at=now,
        fact=Fact(f"silence of {what}", round(silent_s, 1), now, component, f"at most {allowed_s:.0f}", "s"),
        labels={"absent": key},
        depth=1,
        since=regular.seen,
    )
