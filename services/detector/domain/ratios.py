"""Share of failing requests over the last seconds, from counters that may restart at any time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from services.detector.domain.signals import Fact, Finding, Method, Severity
from services.detector.domain.windows import SlidingSum
from shared.packs.model import Ratio


@dataclass(frozen=True)
class RatioLimit:
    """Which counters are errors and which are the whole, and how large their ratio may be."""

    errors: str
    errors_match: tuple[tuple[str, str], ...]
    total: str
    above: float
    window_s: float
    min_events: int
    severity: Severity

    @cached_property
    def key(self) -> str:
        match = ",".join(f"{label}=~{pattern}" for label, pattern in self.errors_match)
        return f"{self.errors}{{{match}}}/{self.total}>{self.above:g}@{self.window_s:g}s"

    @cached_property
    def _compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((label, re.compile(pattern)) for label, pattern in self.errors_match)

    def counts_errors(self, name: str, labels: Mapping[str, str]) -> bool:
        return name == self.errors and all(p.fullmatch(labels.get(label, "")) for label, p in self._compiled)

    def counts_total(self, name: str) -> bool:
        return name == self.total


def ratio_of(ratio: Ratio) -> RatioLimit:
    return RatioLimit(
        ratio.errors,
        tuple(sorted(ratio.errors_match.items())),
        ratio.total,
        ratio.above,
        ratio.window_s,
        ratio.min_events,
        Severity(ratio.severity.value),
    )


class RatioWindow:
    """Errors and requests of one component over one ratio's window."""

    __slots__ = ("errors", "total")

    def __init__(self, window_s: float) -> None:
        self.errors = SlidingSum(window_s)
        self.total = SlidingSum(window_s)

    def verdict(self, limit: RatioLimit, now: float) -> tuple[bool | None, float, float]:
        """(above the limit?, errors, total). None: too few requests to say, unless not one of them failed."""
        errors, total = self.errors.total(now), self.total.total(now)
        if total >= limit.min_events:
            return errors / total > limit.above, errors, total
        return (False if total > 0 and errors == 0 else None), errors, total

    def state(self) -> list[list[float]]:
        return [self.errors.state(), self.total.state()]

    @classmethod
    def restored(cls, state: list[list[float]]) -> RatioWindow:
        window = cls(1.0)
        window.errors, window.total = SlidingSum.restored(state[0]), SlidingSum.restored(state[1])
        return window


def increase(last: float | None, value: float, *, born: bool) -> float:
    """What a counter grew by. A smaller value is a restart: it began again at zero.

    `born`: a series not seen before, of a family that was: it began at zero since then, as the first failure
    after long success does.

    >>> increase(10, 15, born=False), increase(10, 3, born=False), increase(None, 7, born=True), \
increase(None, 7, born=False)
    (5, 3, 7, 0.0)
    """
    if last is None:
        return value if born else 0.0
    return value - last if value >= last else value


def finding(component: str, limit: RatioLimit, errors: float, total: float, at: float) -> Finding:
    share = errors / total
    fact = Fact(
        f"{limit.errors} / {limit.total}", round(share, 4), at, component, f"at most {limit.above:g}", "errors/requests"
    )
    return Finding(
        component=component,
        method=Method.THRESHOLD,
        subject=limit.key,
        pattern="error-ratio",
        severity=limit.severity,
        summary=f"{component}: {share:.0%} of {total:.0f} requests failed within {limit.window_s:g} s",
        at=at,
        fact=fact,
        labels={"metric": limit.errors},
        depth=3,
    )
