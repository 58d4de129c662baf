"""One way of deciding through a year: the decider's own rules, fed with what the learner remembers of past runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from itertools import groupby, pairwise
from statistics import median
from typing import Literal
from uuid import UUID

from services.cli.bench._learning_memories import Memory, Remembers
from services.cli.bench._learning_year import KINDS, PLAYBOOKS, Trouble
from services.decider.domain.decide import rule
from services.decider.domain.model import Case, Cause, Inputs, Record, Target, Tried
from services.decider.domain.vocabulary import CaseKind, Result, Verdict
from shared.packs import Category, Component, Mode, Playbook, Policy

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
AS_GOOD = 0.05
"""A playbook within so much of the best one's chance to help is a right choice."""
IN_A_ROW, LEAST_AFTER = 3, 12
"""Recovered from a change where so many right decisions follow each other; only changes with so many incidents before
the next one are looked at."""
CERTAIN_RUNS = 1_000.0
_NAMES = tuple(f"playbook-{number}" for number in range(PLAYBOOKS))
_SPEC = {"for": ["crash"], "automation_level": "full-auto", "steps": [{"process.restart": {}}], "risk": 0.1}


class Sees(Enum):
    """What it may know: outcomes of what it tried; also that, not how, a truth changed; or the truth itself."""

    OUTCOMES = auto()
    CHANGES = auto()
    TRUTH = auto()


@dataclass(frozen=True, slots=True)
class Way:
    """How runs are remembered, and which of several playbooks that may be run alone is taken: the pack's `strategy`."""

    make: Callable[[], Remembers] = Memory
    strategy: Literal["fixed", "thompson"] = "fixed"
    sees: Sees = Sees.OUTCOMES


@dataclass(frozen=True, slots=True)
class First:
    """The first decision of an incident."""

    day: float
    cell: tuple[str, str]
    """Trouble and kind of component."""
    truth: int
    best: int
    """Playbook with the highest chance to help."""
    right: bool
    regret: float
    """That chance less the chance of the one chosen."""
    alone: bool
    helped: bool


@dataclass(slots=True)
class Life:
    """One way through one year."""

    way: Way
    firsts: list[First] = field(default_factory=list)
    policy: Policy = field(init=False)
    targets: dict[str, Target] = field(init=False)
    memories: dict[tuple[str, str, str], Remembers] = field(default_factory=dict)
    _truths: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policy = Policy(strategy=self.way.strategy)
        playbooks = {name: Playbook.model_validate(_SPEC) for name in _NAMES}
        self.targets = {
            kind: Target(
                "target", "bench", 1, Mode.AUTO, Component(kind=kind), self.policy, playbooks, health="critical"
            )
            for kind in KINDS
        }

    def live(self, troubles: Iterable[Trouble]) -> Life:
        for number, trouble in enumerate(troubles):
            if self.way.sees is Sees.CHANGES and self._truths.get(trouble.cell) != trouble.truth:
                self._forget(trouble)
            self._meet(number, trouble)
        return self

    def _meet(self, number: int, trouble: Trouble) -> None:
        """Decided again after every run that did not help, until it is healed or nothing is left."""
        tried: list[Tried] = []
        while len(tried) < self.policy.max_attempts:
            ruling = rule(self._inputs(number, trouble, tuple(tried)))
            if ruling.option is None or ruling.verdict not in (Verdict.EXECUTE, Verdict.ASK):
                break
            chosen = _NAMES.index(ruling.option.playbook)
            helped = trouble.luck[chosen] < trouble.chances[chosen]
            if not tried:
                self.firsts.append(_first(trouble, chosen, alone=ruling.verdict is Verdict.EXECUTE, helped=helped))
            key = (trouble.signature, ruling.option.playbook, trouble.kind)
            self.memories.setdefault(key, self.way.make()).add(helped)
            if helped:
                break
            tried.append(Tried(ruling.option.playbook, "target", Result.FAILED))

    def _forget(self, trouble: Trouble) -> None:
        self._truths[trouble.cell] = trouble.truth
        for playbook in _NAMES:
            self.memories.pop((trouble.signature, playbook, trouble.kind), None)

    def _inputs(self, number: int, trouble: Trouble, tried: tuple[Tried, ...]) -> Inputs:
        now = BEGAN + timedelta(days=trouble.day)
        cause = Cause("target", Category.CRASH, trouble.base, trouble.signature)
        case = Case(UUID(int=number), CaseKind.INCIDENT, "target", now, causes=(cause,), tried=tried)
        records = tuple(self._record(trouble, playbook, name) for playbook, name in enumerate(_NAMES))
        return Inputs(now, case, {"target": self.targets[trouble.kind]}, records)

    def _record(self, trouble: Trouble, playbook: int, name: str) -> Record:
        """As the decider hears it of the learner."""
        if self.way.sees is Sees.TRUTH:
            remembered = {trouble.kind: (CERTAIN_RUNS, CERTAIN_RUNS * trouble.chances[playbook])}
        else:
            by_kind = {kind: self.memories.get((trouble.signature, name, kind)) for kind in KINDS}
            evidence = {kind: one.remembered() for kind, one in by_kind.items() if one is not None}
            remembered = {kind: (one.runs, one.successes) for kind, one in evidence.items()}
        runs = round(sum(runs for runs, _ in remembered.values()))
        return Record(trouble.signature, name, runs, 0, 0.5, 0.0, remembered=remembered)


def _first(trouble: Trouble, chosen: int, *, alone: bool, helped: bool) -> First:
    regret = max(trouble.chances) - trouble.chances[chosen]
    best = trouble.chances.index(max(trouble.chances))
    return First(trouble.day, trouble.cell, trouble.truth, best, regret <= AS_GOOD, regret, alone, helped)


# ---- figures


def shares(firsts: Sequence[First]) -> dict[str, float]:
    """Of these incidents."""
    alone = [one for one in firsts if one.alone]
    return {
        "right": sum(one.right for one in firsts) / len(firsts),
        "regret": sum(one.regret for one in firsts) / len(firsts),
        "healed at first try": sum(one.helped for one in firsts) / len(firsts),
        "done alone": len(alone) / len(firsts),
        "of these wrong": sum(not one.helped for one in alone) / max(1, len(alone)),
    }


def recoveries(of_years: Sequence[Life]) -> dict[str, float]:
    """After each change that made another playbook the best: incidents until decisions are right again."""
    delays = [delay for life in of_years for delay in _delays(life.firsts)]
    reached = [delay for delay in delays if delay is not None]
    never = float(LEAST_AFTER)
    return {
        "changes": len(delays),
        "incidents until recovered": median(never if delay is None else float(delay) for delay in delays),
        f"recovered within {LEAST_AFTER}": len(reached) / len(delays),
    }


def _delays(firsts: Sequence[First]) -> Iterator[int | None]:
    by_cell = sorted(firsts, key=lambda one: (one.cell, one.day))
    for _, of_cell in groupby(by_cell, key=lambda one: one.cell):
        eras = [list(era) for _, era in groupby(of_cell, key=lambda one: one.truth)]
        for before, after in pairwise(eras):
            if before[-1].best != after[0].best and len(after) >= LEAST_AFTER:
                right = [one.right for one in after[:LEAST_AFTER]]
                starts = range(LEAST_AFTER - IN_A_ROW + 1)
                yield next((start for start in starts if all(right[start : start + IN_A_ROW])), None)
