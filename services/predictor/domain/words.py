"""What is said of a prediction in words: numbers with units a person reads at a glance."""

from __future__ import annotations

from services.predictor.domain.forecast import Forecast
from services.predictor.domain.watch import Moment, Reason

_ENDED = {
    Reason.FLAT: "it no longer climbs",
    Reason.RESET: "it fell back, as after a restart",
    Reason.NO_DATA: "its readings stopped",
    Reason.UNWATCHED: "the pack no longer watches it",
}
_MOMENTS = {
    Moment.WAIT: "there is time to wait for a quiet moment",
    Moment.QUIET: "traffic is low: a good moment to act",
    Moment.DEADLINE: "waiting longer risks the limit",
}


def summary(component: str, metric: str, found: Forecast, moment: Moment) -> str:
    """One sentence, as `memory of catalog is 230 MiB and climbs 5 MiB/s: 400 MiB in about 34 s (28 s to 41 s), …`."""
    return (
        f"{metric} of {component} is {amount(found.current, metric)} and climbs "
        f"{amount(found.trend.slope_per_s, metric)}/s: {amount(found.limit, metric)} in about {span(found.eta_s)} "
        f"({span(found.eta_low_s)} to {span(found.eta_high_s)}), probability {found.probability:.0%}; "
        f"{_MOMENTS[moment]}"
    )


def farewell(component: str, metric: str, reason: Reason) -> str:
    return f"{metric} of {component} is no longer expected to reach its limit: {_ENDED[reason]}"


def amount(value: float, metric: str) -> str:
    """`5 MiB` for metrics that end in `_bytes`, otherwise a plain number."""
    if metric.endswith("_bytes"):
        for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if abs(value) >= size:
                return f"{value / size:.3g} {unit}"
        return f"{value:.3g} B"
    return f"{value:.4g}"


def span(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h` or `2.1 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
