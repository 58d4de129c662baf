"""From a climb to a time: when the limit would be reached, how sure that is, and whether it may be said at all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import NormalDist

from services.predictor.domain.climbs import Climbs
from services.predictor.domain.history import History
from services.predictor.domain.trend import Strictness, Trend

_Z_90 = NormalDist().inv_cdf(0.95)
_MOST_SURE = 0.99
_KNOWN_SPANS = 1.5
_BEYOND = 0.5
"""A level is new when it is above the usual range by more than this share of it."""


class Sensitivity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a climb becomes a prediction.

    `reach` bounds extrapolation: a climb seen for a minute says nothing about the time beyond `reach` minutes.
    This scale-free rule is what keeps noise quiet: the series must really have gone a sixth of the way.
    """

    points_min: int = 15
    evidence_min_s: float = 5.0
    reach: float = 5.0
    probability_min: float = 0.8
    strictness: Strictness = field(default_factory=Strictness)

    def relaxed(self) -> Rules:
        """What keeps an open prediction open: less than what opened it, so that it doesn't flicker."""
        strictness = Strictness(
            z_min=self.strictness.z_min * 0.6,
            rise_per_noise=self.strictness.rise_per_noise * 0.5,
            block_low=self.strictness.block_low * 0.4,
            block_high=self.strictness.block_high * 2,
            newest_low=self.strictness.newest_low * 0.4,
        )
        return replace(self, reach=self.reach * 2, probability_min=self.probability_min * 0.6, strictness=strictness)


RULES = {
    Sensitivity.LOW: Rules(
        points_min=20, reach=3.0, probability_min=0.9, strictness=Strictness(z_min=5.0, rise_per_noise=6.0)
    ),
    Sensitivity.MEDIUM: Rules(),
    Sensitivity.HIGH: Rules(
        points_min=12, reach=8.0, probability_min=0.7, strictness=Strictness(z_min=3.5, rise_per_noise=3.0)
    ),
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Time to the limit in seconds with its 90 % interval, from one climb."""

    trend: Trend
    current: float
    limit: float
    eta_s: float
    eta_low_s: float
    eta_high_s: float
    probability: float


def forecast(trend: Trend, current: float, limit: float, horizon_s: float, reach: float) -> Forecast:
    """Extends one climb to the limit.

    The interval takes the slope's 90 % bounds and the readings' noise. The probability that the limit is reached
    within the horizon takes the slope as normally distributed over that interval; what is left of it after a
    discount of up to 10 % at the edge of `reach` allows for climbs that end by themselves (a judgement, not a
    measurement: the share of predictions that lapse is measured and stored).
    """
    way = max(0.0, limit - current)
    noise = _Z_90 * trend.noise
    eta_s = way / trend.slope_per_s
    if way == 0:
        return Forecast(trend, current, limit, 0.0, 0.0, 0.0, _MOST_SURE)
    deviation = (trend.high_per_s - trend.low_per_s) / (2 * _Z_90)
    needed = way / horizon_s
    if deviation > 0:
        sure = 1 - NormalDist(trend.slope_per_s, deviation).cdf(needed)
    else:
        sure = 1.0 if trend.slope_per_s >= needed else 0.0
    discount = 0.1 * min(1.0, eta_s / (reach * trend.span_s))
    return Forecast(
        trend,
        current,
        limit,
        eta_s,
        min(eta_s, max(0.0, way - noise) / trend.high_per_s),
        max(eta_s, (way + noise) / trend.low_per_s),
        min(_MOST_SURE, sure * (1 - discount)),
    )


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a series: its history, how its climbs ended, and how many alike explain another one."""

    history: History
    climbs: Climbs
    harmless_needed: int


def best_forecast(
    past: Past, *, now_s: float, current: float, lag_s: float, limit: float, horizon_s: float, rules: Rules
) -> Forecast | None:
    """The surest of the forecasts that may be said, or None. Surest: narrowest relative interval.

    `current` is the level `lag_s` seconds before `now_s`.
    """
    allowed = []
    for trend in past.history.trends(rules.strictness):
        if trend.span_s < rules.evidence_min_s or now_s - trend.ends_s > trend.span_s:
            continue
        level = current + trend.slope_per_s * lag_s
        found = forecast(trend, level, limit, horizon_s, rules.reach)
        if found.eta_s > min(horizon_s, rules.reach * trend.span_s) or found.probability < rules.probability_min:
            continue
        if not _harmless(found, past):
            allowed.append(found)
    return min(
        allowed, key=lambda one: (one.trend.high_per_s - one.trend.low_per_s) / one.trend.slope_per_s, default=None
    )


def _harmless(found: Forecast, past: Past) -> bool:
    """Whether the climb will end by itself, as far as the past tells.

    It slows down so much that it stays below the limit; or it is where the series usually is, by a history at
    least half as long again as the climb; or climbs like it fell back.
    """
    trend = found.trend
    if found.current + trend.more < found.limit:
        return True
    usual = past.history.usual(trend.ends_s - trend.span_s, _KNOWN_SPANS * trend.span_s)
    if usual is not None and found.current <= usual.high + _BEYOND * (usual.high - usual.low):
        return True
    return past.climbs.explain(trend.slope_per_s, found.current, past.harmless_needed)
