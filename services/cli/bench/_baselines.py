"""Simple ways to rank root causes, to measure beside ours. Each takes the moment of detection as the split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from services.cli.bench._cases import Case, Floats
from services.diagnoser.domain.ranking import kind_of

STEP_BEFORE_S = 600.0
"""PetShop's five readings begin at most so long before the alarm: all five are taken for the trouble."""
ANOMALOUS = 3.0


# ---- with a graph: components by the metric in which the trouble shows


def _shown(case: Case) -> dict[str, tuple[Floats, Floats]]:
    """Of each component the mean of the kind asked about, split into history and the trouble's readings."""
    found = {}
    for (component, metric), (times, values) in case.series.items():
        if metric.endswith("_average") and kind_of(metric) in case.trouble.kinds:
            late = times > case.noticed_s - STEP_BEFORE_S
            found[component] = (values[~late], values[late])
    return found


def _zs(case: Case) -> dict[str, float]:
    zs = {}
    for component, (before, after) in _shown(case).items():
        if np.isfinite(before).sum() > 1 and np.isfinite(after).any():
            spread = float(np.nanstd(before))
            moved = abs(float(np.nanmean(after)) - float(np.nanmean(before)))
            zs[component] = moved / spread if spread > 0 else (np.inf if moved > 0 else 0.0)
    return zs


def mean_z(case: Case) -> list[str]:
    zs = _zs(case)
    return sorted(zs, key=lambda name: (-zs[name], name))


def ranked_correlation(case: Case) -> list[str]:
    """By correlation with the metric in trouble, over the trouble's readings; the component itself comes last."""
    shown = _shown(case)
    target = shown[case.trouble.component or ""][1]
    scores = {}
    for component, (_, after) in shown.items():
        both = np.isfinite(after) & np.isfinite(target)
        if component == case.trouble.component or both.sum() < 3:
            continue
        a, b = after[both], target[both]
        scores[component] = abs(float(np.corrcoef(a, b)[0, 1])) if a.std() > 0 and b.std() > 0 else 0.0
    order = sorted(scores, key=lambda name: (-scores[name], name))
    return [*order, case.trouble.component or ""]


def anomaly_traversal(case: Case) -> list[str]:
    """Down the graph from the trouble, through anomalous components, to those without anomalous callees."""
    zs = _zs(case)
    ends: set[str] = set()
    seen: set[str] = set()
    waiting = [case.trouble.component or ""]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        worse = [callee for callee in case.graph.calls.get(name, ()) if zs.get(callee, 0.0) > ANOMALOUS]
        waiting += worse
        if not worse:
            ends.add(name)
    return sorted(ends, key=lambda name: (-zs.get(name, 0.0), name))


def finds_nothing(case: Case) -> bool:
    """Whether the traversal ends where it began, at a component that isn't anomalous."""
    start = case.trouble.component or ""
    return anomaly_traversal(case) == [start] and _zs(case).get(start, 0.0) <= ANOMALOUS


# ---- without one: series


def median_shift(case: Case, noticed_s: float) -> list[tuple[str, str]]:
    """By the shift of the median in interquartile ranges."""
    return _sorted(case, noticed_s, _median_score)


def n_sigma(case: Case, noticed_s: float) -> list[tuple[str, str]]:
    """By the furthest reading in standard deviations."""
    return _sorted(case, noticed_s, _sigma_score)


def by_component(series: Sequence[tuple[str, str]]) -> list[str]:
    """Components in the order in which their first series comes."""
    return list(dict.fromkeys(component for component, _ in series))


def _sorted(case: Case, noticed_s: float, score: Callable[[Floats, Floats], float]) -> list[tuple[str, str]]:
    scores = {}
    for name, (times, values) in case.series.items():
        known = np.isfinite(values)
        before, after = values[known & (times < noticed_s)], values[known & (times >= noticed_s)]
        scores[name] = score(before, after) if len(before) and len(after) else 0.0
    return sorted(scores, key=lambda name: (-scores[name], name))


def _median_score(before: Floats, after: Floats) -> float:
    spread = float(np.quantile(before, 0.75) - np.quantile(before, 0.25))
    moved = abs(float(np.median(after)) - float(np.median(before)))
    return moved / spread if spread > 0 else 0.0


def _sigma_score(before: Floats, after: Floats) -> float:
    spread = float(before.std())
    return float(np.max(np.abs(after - before.mean()))) / spread if spread > 0 else 0.0
