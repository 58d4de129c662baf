"""Handwritten digits as a decision problem whose truth is known: which of ten actions helps (UCI, in scikit-learn)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.decider.domain.offpolicy import Floats, Ints, Logged

ACTIONS = 10
TAUGHT = 4
"""One image in so many teaches."""
LOGGING_EXAMPLES = 200
"""The policy that ran learned from so few examples, and tries something else now and then."""
EXPLORATION = 0.35
DIAGNOSIS_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One shuffle. All arrays are of the logged part, in its order."""

    features: Floats
    labels: Ints
    logged: Logged
    target: Floats
    """Probabilities of the policy to be judged."""
    truth: float
    """Its true value."""
    diagnosed: Ints
    """What a weak classifier says, as a diagnosis would."""
    sureness: Floats
    """And how sure it is."""
    chances: Floats
    """What it says of each action."""


def problem(seed: int) -> Problem:
    """Some images teach classifiers; on the others a policy runs and is logged."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    taught, held = order[: len(order) // TAUGHT], order[len(order) // TAUGHT :]

    def classifier(examples: int) -> LogisticRegression:
        return LogisticRegression(max_iter=300).fit(images[taught[:examples]], labels[taught[:examples]])

    every = np.eye(ACTIONS)
    target = every[classifier(len(taught)).predict(images[held])]
    ran = (1 - EXPLORATION) * every[classifier(LOGGING_EXAMPLES).predict(images[held])] + EXPLORATION / ACTIONS
    drawn = (ran.cumsum(axis=1) < rng.random(len(held))[:, None]).sum(axis=1).clip(0, ACTIONS - 1)
    weak = classifier(DIAGNOSIS_EXAMPLES).predict_proba(images[held])
    rows = np.arange(len(held))
    return Problem(
        features=images[held],
        labels=labels[held],
        logged=Logged(drawn, (drawn == labels[held]).astype(float), ran[rows, drawn]),
        target=target,
        truth=float(target[rows, labels[held]].mean()),
        diagnosed=weak.argmax(axis=1),
        sureness=weak.max(axis=1),
        chances=weak,
    )
