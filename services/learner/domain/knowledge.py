"""What is known of a playbook on a signature: how often it helped, what of that still holds, and how long it took."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.learner.domain.memory import Changed, Memory, Remembered
from services.learner.domain.recovery import Recovery, recovery

WEIGHT = 0.20
"""Requirement H02: adjusted = base + (success_rate − 0.5) × 20 points of 100; 70 and 80 % give 76."""
_SLUG_WORDS = 54


def confidence_shift(success_rate: float) -> float:
    """Confidence (0–1) to add for a success rate; the reader clamps the sum to 0.5–1.

    The raw rate, as requirement H02 has it. One run moves it by a tenth: a reader who wants less of few runs
    shrinks by the number of runs, which is published beside it.
    """
    return (success_rate - 0.5) * WEIGHT


def slug(signature: str, playbook: str) -> str:
    """One subject token for the pair: readable as far as it goes, and unique by eight digits of a hash."""
    digest = hashlib.sha256(f"{signature}\0{playbook}".encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9_-]+", "-", f"{signature}-{playbook}".lower()).strip("-_")[:_SLUG_WORDS].strip("-_")
    return f"{words}-{digest}" if words else digest


@dataclass(frozen=True, slots=True)
class Tally:
    """How one playbook has done on one signature."""

    runs: int
    successes: int
    mean_recovery_s: float | None = None
    """From the opening of the case to its validation, over the successes."""

    @property
    def success_rate(self) -> float:
        """0.5, which shifts nothing, before the first run."""
        return self.successes / self.runs if self.runs else 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """One real attempt, as far as knowledge depends on it."""

    at: datetime
    kind: str
    """Of the component; empty: not known."""
    helped: bool
    recovery_s: float | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the learner counts: version 0 of its models as shipped, others are learned from outcomes."""

    change_chance: float = 0.01
    recovery_runs: int = 20


@dataclass(frozen=True, slots=True)
class Known:
    """What the runs of a pair say of its next one."""

    by_kind: dict[str, Remembered] = field(default_factory=dict)
    recovery: Recovery | None = None
    changed_at: datetime | None = None
    """When the newest change of the truth began, on any kind."""
    news: tuple[str, Changed] | None = None
    """The kind on which the newest run makes a change certain."""


def known(runs: Sequence[Run], parameters: Parameters) -> Known:
    """From runs of one pair, oldest first."""
    by_kind: dict[str, Remembered] = {}
    changed_at: datetime | None = None
    news: tuple[str, Changed] | None = None
    for kind in sorted({run.kind for run in runs}):
        own = [run for run in runs if run.kind == kind]
        memory = Memory(parameters.change_chance)
        for number, run in enumerate(own):
            changed = memory.add(run.helped)
            if changed is not None:
                began = own[number + 1 - changed.runs_since].at
                changed_at = max(changed_at, began) if changed_at else began
                if run is runs[-1]:
                    news = (kind, changed)
        by_kind[kind] = memory.remembered()
    times_s = [run.recovery_s for run in runs if run.helped and run.recovery_s is not None]
    return Known(by_kind, recovery(times_s, parameters.recovery_runs), changed_at, news)
