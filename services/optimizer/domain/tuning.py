"""From measured latency to a better timeout: enough evidence, small steps, and never past what the guard allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.optimizer.domain.latency import Latency, Quantile

_TIGHT = 0.01
"""A time-out that this share of calls comes near to is too tight."""


class Reason(StrEnum):
    """Why a timeout is to be changed, or why not."""

    LOWER = "lower"
    """Calls end long before it: a hanging one could be given up sooner."""
    RAISE = "raise"
    """It cuts off calls that would have ended."""
    TOO_FEW = "too-few-samples"
    TOO_SHORT = "too-short"
    DISTURBED = "disturbed"
    """So many calls are cut off that this is an incident, not a matter of tuning."""
    CLOSE = "close-enough"
    GUARDED = "guarded"
    """The pack's guard would not hold afterwards."""


@dataclass(frozen=True, slots=True)
class Rules:
    samples_min: int = 300
    samples_p999: int = 10_000
    """Fewer say nothing about one call in a thousand."""
    span_min_s: float = 30.0
    margin: float = 1.5
    """A timeout is set to the 99th percentile times this."""
    change_min: float = 0.1
    disturbed_share: float = 0.1
    conservative: bool = False
    """Half the step, twice the margin."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A timeout that may be turned: its bounds in its own unit, and how many seconds one unit is."""

    minimum: float
    maximum: float
    step_ratio: float
    unit_s: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """A better value. `near_now` is the share of calls that the value now may cut off, `cut_then` of those that the
    new one would; times in seconds."""

    reason: Reason
    current: float | None
    recommended: float
    p50_s: float
    p99_s: float
    p999_s: float | None
    near_now: float | None
    cut_then: float
    samples: int
    span_s: float
    risk: float


def tune(
    latency: Latency,
    dial: Dial,
    current: float | None,
    declared: float | None,
    rules: Rules,
    guard: Callable[[float], bool] = lambda _error_ratio: True,
) -> Tuning | Reason:
    """A recommendation for a timeout, or the reason for none.

    `current` is its value now; where that is unknown the step is bounded from `declared`, the pack's value, if that
    is given. `guard` gets the share of requests expected to fail afterwards.
    """
    if latency.samples < rules.samples_min:
        return Reason.TOO_FEW
    if latency.span_s < rules.span_min_s:
        return Reason.TOO_SHORT
    anchor = current if current is not None else declared
    p99 = latency.quantile(0.99)
    cut_now = latency.share_above(anchor * dial.unit_s) if anchor is not None else 0.0
    near = latency.share_near(anchor * dial.unit_s) if anchor is not None else None
    if max(cut_now, latency.error_ratio or 0.0) >= rules.disturbed_share:
        return Reason.DISTURBED
    step = _step(dial, rules)
    if p99.beyond or (near is not None and near >= _TIGHT):
        if anchor is None:
            return Reason.DISTURBED
        wanted = anchor * step  # what the calls cut off would have taken is not known: one step, then look again
    else:
        wanted = _wanted_s(latency, p99, rules) / dial.unit_s
    recommended = settle(wanted, anchor, dial, step)
    if anchor is not None and abs(recommended - anchor) <= rules.change_min * anchor:
        return Reason.CLOSE
    cut_then = latency.share_above(recommended * dial.unit_s)
    raises = anchor is not None and recommended > anchor
    newly_cut = 0.0 if raises else max(0.0, cut_then - cut_now)
    if not guard(min(1.0, (latency.error_ratio or 0.0) + newly_cut)) and not raises:
        return Reason.GUARDED
    return Tuning(
        Reason.RAISE if raises else Reason.LOWER,
        current,
        recommended,
        latency.quantile(0.5).value_s,
        p99.value_s,
        latency.quantile(0.999).value_s if latency.samples >= rules.samples_p999 else None,
        near,
        cut_then,
        latency.samples,
        latency.span_s,
        _risk(current, anchor, recommended, dial, newly_cut),
    )


def settle(wanted: float, anchor: float | None, dial: Dial, step: float) -> float:
    """`wanted` brought within the bounds and within one step of the anchor; whole where a whole number fits.

    Where the anchor itself is out of bounds, the bounds win.
    """
    low, high = dial.minimum, dial.maximum
    if anchor is not None:
        low = min(max(low, anchor / step), dial.maximum)
        high = max(min(high, anchor * step), dial.minimum)
    value = min(max(wanted, low), high)
    whole = float(round(value))
    if dial.unit_s > 0.001 and value < 100:
        return min(max(float(f"{value:.4g}"), low), high)
    if whole < low:
        whole = float(math.ceil(low))
    elif whole > high:
        whole = float(math.floor(high))
    return whole if low <= whole <= high else value


def _step(dial: Dial, rules: Rules) -> float:
    return 1 + (dial.step_ratio - 1) / 2 if rules.conservative else dial.step_ratio


def _wanted_s(latency: Latency, p99: Quantile, rules: Rules) -> float:
    """Never below the bucket of the 99th percentile: within it the next look might find the new value too tight."""
    wanted_s = max(p99.bound_s, p99.value_s * rules.margin * (2 if rules.conservative else 1))
    if latency.samples >= rules.samples_p999:
        p999 = latency.quantile(0.999)
        wanted_s = max(wanted_s, p999.value_s * (rules.margin if p999.beyond else 1.1))
    return wanted_s


def _risk(current: float | None, anchor: float | None, recommended: float, dial: Dial, newly_cut: float) -> float:
    """0.1 for touching it, up to 0.15 for a whole step, ten times the share of calls newly cut, 0.35 for not knowing
    the value now: unknown is above the default risk limit together with a step, so that a person is asked."""
    risk = 0.1 + min(0.3, 10 * newly_cut)
    if anchor:
        risk += 0.15 * min(1.0, abs(math.log(recommended / anchor)) / math.log(dial.step_ratio))
    if current is None:
        risk += 0.35
    return min(1.0, risk)
