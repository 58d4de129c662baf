"""What another policy would have been worth, from what was logged under the one that ran.

n decisions, k actions. `Logged` holds what was done with which probability, and what came of it; `target` (n × k) the
probabilities with which the other policy would have acted; `model` (n × k) what a reward model expects of each action.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NORMAL_95 = 1.96
FOLDS = 5
RIDGE = 1.0
LEAST_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Logged:
    """`actions` (n, 0 … k−1), `rewards` (n) and `propensities` (n): with which probability each action was taken."""

    actions: Ints
    rewards: Floats
    propensities: Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean reward of the other policy, with its 95 % interval; `support`: effective share of decisions it rests on."""

    value: float
    low: float
    high: float
    support: float


def ips(logged: Logged, target: Floats) -> Estimate:
    """Inverse propensity scores (Horvitz and Thompson 1952)."""
    weights = importance(logged, target)
    return _estimate(weights * logged.rewards, weights)


def snips(logged: Logged, target: Floats) -> Estimate:
    """Self-normalised (Swaminathan and Joachims 2015); interval by the delta method."""
    weights = importance(logged, target)
    value = float((weights * logged.rewards).sum() / max(weights.sum(), 1e-12))
    return _estimate(value + weights * (logged.rewards - value) / max(weights.mean(), 1e-12), weights)


def direct(logged: Logged, target: Floats, model: Floats) -> Estimate:
    """What the reward model says. Its interval knows nothing of the model's own error."""
    return _estimate((target * model).sum(axis=1), importance(logged, target))


def doubly_robust(logged: Logged, target: Floats, model: Floats) -> Estimate:
    """The model, corrected by the weighted errors it made (Dudík, Langford and Li 2011). With a model that was fitted
    with `importance` as weights, where the other policy acts, it errs least (Farajtabar, Chow and Ghavamzadeh 2018)."""
    weights = importance(logged, target)
    foretold = np.take_along_axis(model, logged.actions[:, None], axis=1)[:, 0]
    return _estimate((target * model).sum(axis=1) + weights * (logged.rewards - foretold), weights)


def reward_model(features: Floats, logged: Logged, actions: int, weights: Floats | None = None) -> Floats:
    """Expected reward of each action (n × k): ridge regressions, one an action, each predicting only decisions that it
    was not fitted to. `weights` (n): how much each decision counts; a little is added, so that none is forgotten."""
    n = len(features)
    design = np.column_stack([np.ones(n), features])
    counted = np.ones(n) if weights is None else weights + LEAST_WEIGHT
    expected = np.empty((n, actions))
    fold_of = np.arange(n) % FOLDS
    for fold in range(FOLDS):
        inside, outside = fold_of == fold, fold_of != fold
        overall = float(np.average(logged.rewards[outside])) if outside.any() else 0.0
        for action in range(actions):
            known = outside & (logged.actions == action)
            rows, weight = design[known], counted[known]
            penalty = RIDGE * np.eye(design.shape[1])
            penalty[0, 0] = 1e-6
            gram = rows.T @ (rows * weight[:, None]) + penalty
            slopes = np.linalg.solve(gram, rows.T @ (weight * (logged.rewards[known] - overall)))
            expected[inside, action] = overall + design[inside] @ slopes
    return np.clip(expected, 0.0, 1.0)


def importance(logged: Logged, target: Floats) -> Floats:
    """How much more likely the other policy was to do what was done (n)."""
    wanted = np.take_along_axis(target, logged.actions[:, None], axis=1)[:, 0]
    weights: Floats = wanted / logged.propensities
    return weights


def _estimate(terms: Floats, weights: Floats) -> Estimate:
    n = len(terms)
    value = float(terms.mean())
    margin = NORMAL_95 * sqrt(float(((terms - value) ** 2).sum()) / max(n - 1, 1) / n)
    return Estimate(value, value - margin, value + margin, _support(weights))


def _support(weights: Floats) -> float:
    return float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12) / len(weights))
