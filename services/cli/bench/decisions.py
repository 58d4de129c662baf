"""Decisions: what another policy would be worth, whether confidence tells the truth, what trying costs, and time."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import fmean
from uuid import UUID

from services.cli.bench import _decisions_load as load
from services.cli.bench import _decisions_strategies as strategies
from services.cli.bench._digits import ACTIONS, Problem, problem
from services.cli.bench.results import Report, Row
from services.decider.domain import offpolicy as op
from services.decider.domain.calibration import Foretold, calibration
from services.decider.domain.confidence import posterior, prior, shifted
from services.decider.domain.decide import decide
from services.decider.domain.model import Case, Cause, ConfidenceModel, Inputs, Record, Target
from services.decider.domain.record import dump_inputs
from services.decider.domain.strategy import thompson
from services.decider.domain.vocabulary import CaseKind
from shared.packs import Category, Component, Mode, Playbook, Policy

SEEDS = 30
WORLDS = 6
THRESHOLD = 0.85
NOTES = (
    f"scikit-learn's digits as a bandit with known truth, {SEEDS} shuffles: a part of the images teaches, on the "
    "other a policy runs and is logged. Value: relative error of the value estimated for another policy, and how often "
    "its 95 % interval holds the truth. Confidence: a weak classifier diagnoses, the action for what it says is run, "
    "and the chance to help is foretold before each run from the runs before; `sure` are those of at least 85 % "
    "confidence. Regret: share of decisions lost against the best fixed action for each diagnosis, below zero is "
    f"gained. Choice: {WORLDS} simulated worlds of 12 kinds of trouble on three kinds of component, four safe "
    "playbooks each, 2,000 decisions; what the best playbook's chance is above that of the chosen one, where chances "
    "stay, and where those of a trouble are drawn anew with one decision in a hundred; all but LinUCB see the "
    "product's own posteriors. The reward model's penalty and weights were chosen on 60 other shuffles, the bound of "
    "`ucb` on six other worlds. Time: the rule alone, in one process; and the whole decider with NATS and PostgreSQL, "
    "from a diagnosis published until its decision is heard, while so many incidents wait for their turn, are looked "
    "at again and again, and share one pack's limits."
)


async def run(_data: Path | None) -> Report:
    """The table of this area; it needs no data of its own."""
    report = await asyncio.to_thread(measure)
    return replace(report, rows=[*report.rows, *await load.rows()])


def measure() -> Report:
    problems = [problem(seed) for seed in range(SEEDS)]
    rows = [
        *_values(problems),
        *_confidence(problems),
        *_regret(problems),
        *strategies.rows(WORLDS),
        *map(_time, load.OPEN),
    ]
    return Report("decisions", datetime.now(UTC), "Decisions: value, confidence, regret, time", NOTES, rows)


# ---- off-policy value


def _estimates(one: Problem) -> dict[str, op.Estimate]:
    logged, target = one.logged, one.target
    plain = op.reward_model(one.features, logged, ACTIONS)
    weighted = op.reward_model(one.features, logged, ACTIONS, op.importance(logged, target))
    mean = float(logged.rewards.mean())
    return {
        "Homeostat (doubly robust, weighted model)": op.doubly_robust(logged, target, weighted),
        "SNIPS": op.snips(logged, target),
        "doubly robust": op.doubly_robust(logged, target, plain),
        "IPS": op.ips(logged, target),
        "direct": op.direct(logged, target, plain),
        "naive": op.Estimate(mean, mean, mean, 1.0),
    }


def _values(problems: Sequence[Problem]) -> Iterator[Row]:
    errors: dict[str, list[float]] = defaultdict(list)
    covered: dict[str, list[bool]] = defaultdict(list)
    for one in problems:
        for name, estimate in _estimates(one).items():
            errors[name].append(abs(estimate.value - one.truth) / one.truth)
            covered[name].append(estimate.low <= one.truth <= estimate.high)
    for name, found in errors.items():
        yield Row(f"value: {name}", {"relative error": fmean(found), "coverage": fmean(covered[name])})


# ---- confidence


def _confidence(problems: Sequence[Problem]) -> Iterator[Row]:
    ways: dict[str, Callable[[float, Record], tuple[float, float]]] = {
        "Homeostat (posterior)": _posterior,
        "shift by success rate": lambda base, record: (shifted(base, record),) * 2,
        "diagnosis alone": lambda base, _record: (base, base),
    }
    for name, way in ways.items():
        figures = [_foretell(one, way) for one in problems]
        mean = {key: fmean(each[key] for each in figures) for key in figures[0]}
        yield Row(f"confidence: {name}", mean)


def _posterior(base: float, record: Record) -> tuple[float, float]:
    sure = posterior(base, (record.runs, record.successes), ConfidenceModel())
    return sure.confidence, sure.expected


def _foretell(one: Problem, way: Callable[[float, Record], tuple[float, float]]) -> dict[str, float]:
    """Each chance is foretold from the runs before it."""
    tallies: dict[int, tuple[int, int]] = {}
    foretold, sure = [], []
    for diagnosed, label, base in zip(one.diagnosed, one.labels, one.sureness, strict=True):
        runs, successes = tallies.get(int(diagnosed), (0, 0))
        rate = successes / runs if runs else 0.5
        confidence, expected = way(float(base), Record("", "", runs, successes, rate, (rate - 0.5) * 0.2))
        helped = bool(diagnosed == label)
        foretold.append(Foretold(expected, helped))
        if confidence >= THRESHOLD:
            sure.append(helped)
        tallies[int(diagnosed)] = (runs + 1, successes + helped)
    found = calibration(foretold)
    assert found is not None
    figures = {"calibration error": found.error, "Brier": found.brier, "sure": len(sure) / len(foretold)}
    return figures | ({"of these helped": fmean(sure)} if sure else {"of these helped": 0.0})


# ---- regret

type Arms = list[tuple[float, float]]


def _regret(problems: Sequence[Problem]) -> Iterator[Row]:
    learners: dict[str, tuple[Callable[[Arms, Random], int], bool]] = {
        "Homeostat (thompson, diagnosis as prior)": (_thompson, True),
        "Homeostat (fixed: the likeliest)": (_likeliest, True),
        "epsilon-greedy 10 %, diagnosis as prior": (_epsilon_greedy, True),
        "thompson without a prior": (_thompson, False),
        "epsilon-greedy 10 % without a prior": (_epsilon_greedy, False),
    }
    for name, (learner, informed) in learners.items():
        lost = [_lost(one, learner, Random(f"{seed}"), informed=informed) for seed, one in enumerate(problems)]
        yield Row(f"regret: {name}", {"regret": fmean(lost)})


def _thompson(arms: Arms, rng: Random) -> int:
    return thompson(arms, rng.betavariate)


def _likeliest(arms: Arms, _rng: Random) -> int:
    return max(range(len(arms)), key=lambda arm: arms[arm][0] / sum(arms[arm]))


def _epsilon_greedy(arms: Arms, rng: Random) -> int:
    return rng.randrange(len(arms)) if rng.random() < 0.1 else _likeliest(arms, rng)


def _lost(one: Problem, learner: Callable[[Arms, Random], int], rng: Random, *, informed: bool) -> float:
    """Share of decisions lost against the action that was best, in hindsight, for each diagnosis."""
    model = ConfidenceModel()
    record = {diagnosed: [(0, 0)] * ACTIONS for diagnosed in range(ACTIONS)}
    counts: dict[int, list[int]] = {diagnosed: [0] * ACTIONS for diagnosed in range(ACTIONS)}
    gained = 0
    for diagnosed, label, chances in zip(
        one.diagnosed.tolist(), one.labels.tolist(), one.chances.round(2).tolist(), strict=True
    ):
        priors = [prior(chance, model) for chance in chances] if informed else [(1.0, 1.0)] * ACTIONS
        arms = [(a + good, b + bad) for (a, b), (good, bad) in zip(priors, record[diagnosed], strict=True)]
        taken = learner(arms, rng)
        good, bad = record[diagnosed][taken]
        record[diagnosed][taken] = (good + (taken == label), bad + (taken != label))
        counts[diagnosed][label] += 1
        gained += taken == label
    best = sum(max(by_label) for by_label in counts.values())
    return (best - gained) / len(one.labels)


# ---- time


def _time(incidents: int) -> Row:
    """As many open incidents of as many components, ten playbooks each, records of all: each is decided once."""
    waiting = [_incident(number, incidents) for number in range(incidents)]
    took_ms = []
    for inputs in waiting:
        began = time.perf_counter()
        decide(inputs)
        took_ms.append((time.perf_counter() - began) * 1_000)
    tracemalloc.start()
    kept = [(decide(inputs), dump_inputs(inputs)) for inputs in waiting]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    took_ms.sort()
    figures = {
        "p50 ms": took_ms[len(took_ms) // 2],
        "p99 ms": took_ms[int(len(took_ms) * 0.99)],
        "decisions/s": 1_000 * len(took_ms) / sum(took_ms),
        "kB each": peak / 1e3 / len(kept),
    }
    return Row(f"the rule alone: {incidents:,} open incidents, ten playbooks each", figures)


def _incident(number: int, incidents: int) -> Inputs:
    now = datetime(2026, 1, 7, 12, tzinfo=UTC)
    name = f"service-{number}"
    playbooks = {
        f"playbook-{one}": Playbook.model_validate(
            {"for": ["crash"], "automation_level": "full-auto", "steps": [{"process.restart": {}}], "risk": one / 50}
        )
        for one in range(10)
    }
    runs = number % 40
    records = tuple(Record("crash:exited", book, runs, runs * 9 // 10, 0.9, 0.08) for book in playbooks)
    cause = Cause(name, Category.CRASH, 0.6 + 0.4 * (number % 100) / 100, "crash:exited")
    case = Case(
        id=UUID(int=number),
        kind=CaseKind.INCIDENT,
        component=name,
        opened_at=now - timedelta(seconds=1),
        causes=(cause,),
    )
    target = Target(
        name=name,
        pack="bench",
        pack_version=1,
        mode=Mode.AUTO,
        component=Component(),
        policy=Policy(),
        playbooks=playbooks,
        others=incidents - 1,
        health="critical",
    )
    return Inputs(now=now, case=case, targets={name: target}, records=records)
