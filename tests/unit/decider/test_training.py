"""A model of confidence is fitted to what came of runs, and takes over only when it foretells later ones better."""

from __future__ import annotations

from random import Random

from services.decider.domain.confidence import believed, posterior
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.training import Sample, train


def samples(count: int, truth: float, seed: int = 1) -> list[Sample]:
    """Runs of playbooks without a record, whose diagnosis says 90 % while `truth` of them help."""
    chance = Random(seed)
    return [Sample(0.9, 0, 0, chance.random() < truth) for _ in range(count)]


def test_a_diagnosis_that_is_too_sure_is_believed_less() -> None:
    found = train(samples(200, truth=0.5), ConfidenceModel())
    assert found is not None
    assert found.is_better
    assert found.candidate.log_loss < found.present.log_loss
    assert believed(0.9, found.model) < 0.7


def test_a_model_that_is_right_already_is_not_replaced_by_noise() -> None:
    truth = posterior(0.9, (0, 0), ConfidenceModel()).expected
    taken = [train(samples(120, truth, seed), ConfidenceModel()) for seed in range(6)]
    assert sum(one is not None and one.is_better for one in taken) <= 1


def test_few_runs_teach_nothing() -> None:
    assert train(samples(30, truth=0.1), ConfidenceModel()) is None
