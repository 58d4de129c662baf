"""What another policy would have been worth: estimates that are right on average, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from services.decider.domain.offpolicy import (
    Estimate,
    Floats,
    Logged,
    direct,
    doubly_robust,
    importance,
    ips,
    reward_model,
    snips,
)

CHANCES = np.array([[0.9, 0.3], [0.2, 0.6]])
"""Of two actions to help, in two kinds of situation."""
TARGET = np.array([[1.0, 0.0], [0.0, 1.0]])


def world(seed: int, n: int = 400) -> tuple[Logged, Floats, Floats, float]:
    """Logged at random with 70:30; the target takes the better action of each situation."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, n)
    ran = np.tile([0.7, 0.3], (n, 1))
    actions = (rng.random(n) > 0.7).astype(np.int64)
    rewards = (rng.random(n) < CHANCES[kinds, actions]).astype(float)
    logged = Logged(actions, rewards, ran[np.arange(n), actions])
    truth = float((TARGET[kinds] * CHANCES[kinds]).sum(axis=1).mean())
    return logged, np.eye(2)[kinds], TARGET[kinds], truth


def test_estimates_are_right_on_average_and_the_logged_mean_is_not() -> None:
    worlds = [world(seed) for seed in range(40)]
    truth = np.mean([one[3] for one in worlds])
    for estimator in (ips, snips):
        assert np.mean([estimator(one[0], one[2]).value for one in worlds]) == pytest.approx(truth, abs=0.02)
    weighted = [
        doubly_robust(one[0], one[2], reward_model(one[1], one[0], 2, importance(one[0], one[2]))) for one in worlds
    ]
    assert np.mean([one.value for one in weighted]) == pytest.approx(truth, abs=0.02)
    assert abs(np.mean([one[0].rewards.mean() for one in worlds]) - truth) > 0.1


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        logged, features, target, truth = world(seed)
        model = reward_model(features, logged, 2, importance(logged, target))
        estimate = doubly_robust(logged, target, model)
        held += estimate.low <= truth <= estimate.high
    assert held >= 90


def test_a_wrong_model_misleads_the_direct_method_and_not_the_doubly_robust_one() -> None:
    logged, _features, target, truth = world(1, n=4_000)
    wrong = np.full((4_000, 2), 0.05)
    assert direct(logged, target, wrong).value == pytest.approx(0.05)
    assert doubly_robust(logged, target, wrong).value == pytest.approx(truth, abs=0.05)


def test_the_policy_that_ran_is_worth_what_came_of_it() -> None:
    logged, _features, _target, _truth = world(3)
    same: Estimate = snips(logged, np.tile([0.7, 0.3], (400, 1)))
    assert same.value == pytest.approx(float(logged.rewards.mean()))
    assert same.support == pytest.approx(1.0)


def test_what_was_never_tried_has_no_support() -> None:
    logged = Logged(np.zeros(10, dtype=np.int64), np.ones(10), np.ones(10))
    assert ips(logged, np.tile([0.0, 1.0], (10, 1))).support == 0.0
