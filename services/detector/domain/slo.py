"""Objectives: how fast the error budget burns, over a long and a short window at once.

Method: multi-window, multi-burn-rate alerts of the Site Reliability Workbook (chapter 5). The long window says that
enough of the budget is gone to matter, the short one that it is still going. A window of which less than half has been
seen says nothing: an hour can't be known from three minutes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from services.detector.domain.ratios import RatioLimit
from services.detector.domain.signals import Fact, Finding, Method, Severity
from services.detector.domain.windows import SlidingSum
from shared.packs.component import Slo

PERIOD_S = 30 * 86_400.0
PERIOD_BUCKETS = 30
LATENCY_TARGET = 0.99
"""`latency_p99_ms` says what 99 of 100 requests must keep to."""
LEAST_BAD = 3
"""Fewer failures than this in the short window are no burning, however few the requests."""
SEEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Tier:
    long_s: float
    short_s: float
    rate: float
    severity: Severity


TIERS = (
    Tier(3_600, 300, 14.4, Severity.CRITICAL),
    Tier(21_600, 1_800, 6.0, Severity.CRITICAL),
    Tier(86_400, 7_200, 3.0, Severity.WARNING),
    Tier(259_200, 21_600, 1.0, Severity.WARNING),
)


@dataclass(frozen=True)
class Objective:
    """One promise, and where its good and bad events are counted."""

    name: str
    target: float
    metric: str
    """Counter of all requests, base name of a histogram, or a gauge in milliseconds."""
    errors: str = ""
    errors_match: tuple[tuple[str, str], ...] = ()
    threshold_ms: float = 0.0
    scale: float = 1.0
    min_events: int = 20

    @cached_property
    def _compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((label, re.compile(pattern)) for label, pattern in self.errors_match)

    def parts_of(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Which of its counts a series feeds: `all`, `bad`, `le:<bound>`, `reading`."""
        if not self.threshold_ms:
            bad = name == self.errors and all(p.fullmatch(labels.get(label, "")) for label, p in self._compiled)
            return (*(("all",) if name == self.metric else ()), *(("bad",) if bad else ()))
        if self.metric.endswith("_ms"):
            return ("reading",) if name == self.metric else ()
        return (f"le:{labels['le']}",) if name == f"{self.metric}_bucket" and "le" in labels else ()


def objectives_of(slo: Slo, ratios: tuple[RatioLimit, ...]) -> tuple[Objective, ...]:
    """Of one component, with its ratios in the order of its pack."""
    found = []
    if slo.availability is not None:
        errors = total = "http_requests_total"
        match: tuple[tuple[str, str], ...] = (("status", "5.."),)
        if ratios:
            errors, match, total = ratios[0].errors, ratios[0].errors_match, ratios[0].total
        found.append(
            Objective(
                "availability",
                slo.availability,
                total,
                errors,
                match,
                scale=slo.window_scale,
                min_events=slo.min_events,
            )
        )
    if slo.latency_p99_ms is not None:
        found.append(
            Objective(
                "latency",
                LATENCY_TARGET,
                slo.latency_metric,
                threshold_ms=slo.latency_p99_ms,
                scale=slo.window_scale,
                min_events=slo.min_events,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Burn:
    """The worst tier that burns, with what is seen in its windows."""

    tier: Tier
    rate: float
    short_rate: float
    bad: float
    all: float


class Budget:
    """Events of one objective over all its windows, in constant memory."""

    __slots__ = ("_bounds", "_pending", "_sums", "since")

    def __init__(self, objective: Objective) -> None:
        self.since = -1.0
        self._pending: dict[str, float] = {}
        self._bounds: set[float] = set()
        self._sums: dict[float, tuple[SlidingSum, SlidingSum]] = {}
        for window_s in _windows():
            buckets = PERIOD_BUCKETS if window_s == PERIOD_S else 10
            pair = (SlidingSum(window_s * objective.scale, buckets), SlidingSum(window_s * objective.scale, buckets))
            self._sums[window_s] = pair

    def knows(self, part: str) -> None:
        """A series of this part exists."""
        if part.startswith("le:"):
            bound = _bound(part)
            if math.isfinite(bound):  # a snapshot can't hold infinity, and every histogram has it
                self._bounds.add(bound)

    def count(self, part: str, value: float, grown: float, objective: Objective) -> None:
        """Kept until the batch is settled: most series feed the same few sums."""
        if part == "reading":
            self._pending["all"] = self._pending.get("all", 0.0) + 1
            self._pending["bad"] = self._pending.get("bad", 0.0) + (value > objective.threshold_ms)
        else:
            self._pending[part] = self._pending.get(part, 0.0) + grown

    @property
    def waits(self) -> bool:
        return bool(self._pending)

    def settle(self, objective: Objective, at: float) -> None:
        pending, self._pending = self._pending, {}
        total, bad = pending.get("all", 0.0), pending.get("bad", 0.0)
        if objective.threshold_ms and not objective.metric.endswith("_ms"):
            slowest_good_s = min(
                (b for b in self._bounds if b >= objective.threshold_ms / 1_000 - 1e-9), default=math.inf
            )
            by_bound = {_bound(part): grown for part, grown in pending.items()}
            total = by_bound.get(math.inf, 0.0)
            bad = total - by_bound.get(slowest_good_s, 0.0)
        if self.since < 0 and total > 0:
            self.since = at
        for bads, alls in self._sums.values():
            bads.add(at, max(0.0, bad))
            alls.add(at, total)

    def judge(self, objective: Objective, now: float) -> Burn | bool | None:
        """What burns; False: nothing does; None: too little is known to say."""
        known = False
        for tier in TIERS:
            bad, total = self._events(tier.short_s, now)
            if self.since < 0 or now - self.since < tier.long_s * objective.scale * SEEN_SHARE:
                continue
            if total < objective.min_events:
                known |= total > 0 and bad == 0
                continue
            known = True
            long_bad, long_total = self._events(tier.long_s, now)
            short_rate = bad / total / (1 - objective.target)
            rate = long_bad / max(long_total, total) / (1 - objective.target)
            if bad >= LEAST_BAD and rate > tier.rate and short_rate > tier.rate:
                return Burn(tier, rate, short_rate, long_bad, long_total)
        return False if known else None

    def left(self, objective: Objective, now: float) -> float | None:
        """Share of the period's budget that is left: 1 untouched, 0 spent, below that overdrawn."""
        bad, total = self._events(PERIOD_S, now)
        if total <= 0:
            return None
        return max(-9.99, 1.0 - bad / (total * (1 - objective.target)))

    def _events(self, window_s: float, now: float) -> tuple[float, float]:
        bads, alls = self._sums[window_s]
        return bads.total(now), alls.total(now)

    def state(self) -> list[list[float]]:
        return [[self.since, *sorted(self._bounds)], *(s.state() for pair in self._sums.values() for s in pair)]

    @classmethod
    def restored(cls, objective: Objective, state: list[list[float]]) -> Budget:
        """With other windows than before (the pack was changed) it begins anew."""
        budget = cls(objective)
        sums = [SlidingSum.restored(each) for each in state[1:]]
        if len(sums) == 2 * len(budget._sums) and sums[0].state()[0] == next(iter(budget._sums.values()))[0].state()[0]:
            budget.since, budget._bounds = state[0][0], set(state[0][1:])
            budget._sums = dict(zip(budget._sums, zip(sums[::2], sums[1::2], strict=True), strict=True))
        return budget


def _bound(part: str) -> float:
    try:
        return float(part.removeprefix("le:"))
    except ValueError:
        return math.nan


def _windows() -> tuple[float, ...]:
    return tuple(dict.fromkeys([*(w for tier in TIERS for w in (tier.long_s, tier.short_s)), PERIOD_S]))


def subject(objective: Objective) -> str:
    return f"slo:{objective.name}"


def finding(component: str, objective: Objective, burn: Burn, left: float | None, at: float) -> Finding:
    what = (
        "requests failed" if objective.name == "availability" else f"requests took over {objective.threshold_ms:g} ms"
    )
    long_s = burn.tier.long_s * objective.scale
    budget = "" if left is None else f"; {left:.0%} of the budget is left"
    return Finding(
        component=component,
        method=Method.THRESHOLD,
        subject=subject(objective),
        pattern=f"slo-burn:{objective.name}",
        severity=burn.tier.severity,
        summary=f"{component}: the error budget burns {burn.rate:.3g} times too fast: {burn.bad:.0f} of {burn.all:.0f} "
        f"{what} within {long_s:g} s, where {1 - objective.target:.3g} of them may{budget}",
        at=at,
        fact=Fact(
            f"burn rate of {objective.name}",
            round(burn.rate, 3),
            at,
            component,
            f"at most {burn.tier.rate:g}",
            "budgets",
        ),
        labels={"objective": objective.name, "window_s": f"{long_s:g}"},
        depth=1,
        since=at - burn.tier.short_s * objective.scale,
    )
