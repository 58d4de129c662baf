"""How sure a playbook is to help: the diagnosis' confidence, and what became of the playbook's runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

from services.decider.domain.beta import LEAST_SURE, MOST_SURE, beta_quantile, mean_with_bound
from services.decider.domain.model import ConfidenceModel, Record
from shared.packs import Playbook, Policy

FLOOR = 0.5
"""Shifted by a record, confidence stays within 0.5–1."""
MAX_SHIFT = 0.10
PRIOR_SUCCESS, PRIOR_RUNS = 0.7, 2
"""Beside a shifted confidence, a playbook without a record is expected to help seven times in ten."""
ENDORSED_RUNS = 0.5
"""A person's word that a playbook would have helped, where it was not tried, counts this much of a run; their no counts
a whole one."""
OTHER_KINDS = 0.5
"""A run on another kind of component counts this much of a run."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """`confidence` is compared with the threshold; `expected` is the chance that the playbook helps."""

    confidence: float
    expected: float
    helped: float = 0.0
    failed: float = 0.0
    """Pseudo-counts of the posterior, for drawing from it."""


def sureness(base: float, record: Record | None, kind: str, policy: Policy, model: ConfidenceModel) -> Sureness:
    """How sure the playbook is to help on a component of this kind, the diagnosis being `base` (0–1) sure."""
    if policy.confidence_model == "record-shift":
        drawn = drawn_success(record)
        weight = PRIOR_RUNS + (record.runs if record else 0)
        return Sureness(shifted(base, record), round(drawn, 3), drawn * weight, (1 - drawn) * weight)
    return posterior(base, evidence(record, kind), model)


def posterior(base: float, runs_successes: tuple[float, float], model: ConfidenceModel) -> Sureness:
    """Bound and mean of a Beta posterior.

    What the diagnosis is sure of is the lower bound before the first run: the prior is the Beta distribution worth
    `model.prior_runs` runs with that bound. So every success raises confidence, and every failure lowers it.

    >>> posterior(0.9, (0, 0), ConfidenceModel()).confidence
    0.9
    >>> posterior(0.9, (10, 10), ConfidenceModel()).confidence, posterior(0.9, (10, 5), ConfidenceModel()).confidence
    (0.9566, 0.6073)
    """
    runs, successes = runs_successes
    base = believed(base, model)
    helped, failed = worth_of(base, model)
    helped, failed = helped + successes, failed + runs - successes
    bound = round(beta_quantile(model.doubt, helped, failed), 4) if runs > 0 else base
    return Sureness(bound, round(helped / (helped + failed), 4), helped, failed)


def prior(base: float, model: ConfidenceModel) -> tuple[float, float]:
    """What the diagnosis is worth, as runs that helped and did not."""
    return worth_of(believed(base, model), model)


def believed(base: float, model: ConfidenceModel) -> float:
    """The diagnosis' confidence as far as it was borne out here.

    >>> believed(0.9, ConfidenceModel()), believed(0.9, ConfidenceModel(slope=0.5))
    (0.9, 0.75)
    """
    if model.slope == 1.0 and model.offset == 0.0:
        return base
    inside = min(max(base, LEAST_SURE), MOST_SURE)
    return round(1.0 / (1.0 + exp(-(model.slope * log(inside / (1.0 - inside)) + model.offset))), 4)


def worth_of(base: float, model: ConfidenceModel) -> tuple[float, float]:
    mean = mean_with_bound(base, model.doubt, model.prior_runs)
    return mean * model.prior_runs, (1.0 - mean) * model.prior_runs


def evidence(record: Record | None, kind: str) -> tuple[float, float]:
    """Runs and successes that speak for a component of this kind; those of other kinds count half.

    >>> evidence(Record("s", "p", 10, 9, 0.9, 0.08, of_kind={"web": (4, 4), "worker": (4, 3)}), "web")
    (8.0, 7.5)
    >>> evidence(Record("s", "p", 90, 80, 0.9, 0.08, remembered={"web": (4.5, 3.5), "worker": (2.0, 1.0)}), "web")
    (5.5, 4.0)
    """
    if record is None:
        return 0.0, 0.0
    said_runs, said_successes = said(record)
    if record.remembered:
        weights = {other: 1.0 if other == kind else OTHER_KINDS for other in record.remembered}
        return (
            sum(weights[other] * runs for other, (runs, _) in record.remembered.items()) + said_runs,
            sum(weights[other] * successes for other, (_, successes) in record.remembered.items()) + said_successes,
        )
    elsewhere = [tally for other, tally in record.of_kind.items() if other != kind]
    runs = max(0.0, record.runs - (1 - OTHER_KINDS) * sum(runs for runs, _ in elsewhere))
    successes = record.successes - (1 - OTHER_KINDS) * sum(successes for _, successes in elsewhere)
    return runs + said_runs, min(max(0.0, successes), runs) + said_successes


def said(record: Record) -> tuple[float, float]:
    """What people said of a playbook, as runs and successes."""
    endorsed = record.endorsed * ENDORSED_RUNS
    return record.overruled + endorsed, endorsed


def drawn_success(record: Record | None) -> float:
    """Success rate, drawn towards 0.7 while the record is short."""
    successes, runs = (record.successes, record.runs) if record else (0, 0)
    return (successes + PRIOR_SUCCESS * PRIOR_RUNS) / (runs + PRIOR_RUNS)


def shifted(base: float, record: Record | None) -> float:
    """`base` plus the record's shift, within 0.5–1; without a record just `base` (requirement H02).

    >>> shifted(0.70, Record("s", "p", 10, 8, 0.80, 0.06))
    0.76
    >>> shifted(0.70, None)
    0.7
    """
    said_runs, said_successes = said(record) if record else (0.0, 0.0)
    if record is None or record.runs + said_runs == 0:
        return base
    shift = record.shift
    if said_runs:
        shift = ((record.successes + said_successes) / (record.runs + said_runs) - 0.5) * 2 * MAX_SHIFT
    shift = min(max(shift, -MAX_SHIFT), MAX_SHIFT)
    return round(min(max(base + shift, FLOOR), 1.0), 4)


def threshold(playbook: Playbook, policy: Policy) -> float:
    """The playbook's own, else the policy's: a lower one for what can be undone byte for byte."""
    if playbook.confidence is not None:
        return playbook.confidence
    undoable = playbook.reversible and playbook.rollback == "auto"
    return min(policy.confidence_reversible, policy.confidence) if undoable else policy.confidence


def wilson_low(successes: int, runs: int) -> float:
    """Lower end of the 95 % interval of a success rate.

    >>> round(wilson_low(20, 20), 3)
    0.839
    """
    return wilson(successes, runs)[0]


def wilson(successes: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a success rate by the score test (Wilson 1927); everything is possible before the first run."""
    if runs == 0:
        return 0.0, 1.0
    rate = successes / runs
    centre = rate + z * z / (2 * runs)
    spread = z * sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    whole = 1 + z * z / runs
    return max(0.0, (centre - spread) / whole), min(1.0, (centre + spread) / whole)
