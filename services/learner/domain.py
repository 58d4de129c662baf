"""What counts as an attempt, what it teaches, and how much confidence it is worth. Free of bus, database and clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

WEIGHT = 0.20
"""Requirement H02: adjusted = base + (success_rate − 0.5) × 20 points of 100; 70 and 80 % give 76."""
_SLUG_WORDS = 54
_TARGET = 0.9
_EVIDENCE = 20
_CANDIDATES = tuple(percent / 100 for percent in range(50, 100))


class End(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    SKIPPED = "skipped"


class Validated(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"


_VALIDATED = {
    End.SUCCEEDED: Validated.PASSED,
    End.ROLLED_BACK: Validated.FAILED,
    End.FAILED: Validated.FAILED,
    End.SKIPPED: Validated.NOT_RUN,
}
_QUALITY = {End.SUCCEEDED: 1.0, End.ROLLED_BACK: 0.3, End.FAILED: 0.0, End.SKIPPED: 0.5}
"""How good an outcome was: undone for certain is better than left broken; nothing done says nothing."""


def is_attempt(end: End, *, dry_run: bool) -> bool:
    """Whether a run says anything of its playbook: it must really have been tried."""
    return end is not End.SKIPPED and not dry_run


def validated(end: End) -> Validated:
    return _VALIDATED[end]


def quality(end: End, label: bool | None) -> float:
    """0 to 1; what somebody who saw it says weighs more than the validation."""
    return _QUALITY[end] if label is None else float(label)


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


def lesson(playbook: str, signature: str, component: str, end: End, label: bool | None, tally: Tally) -> str:
    """One sentence that a person can act on."""
    did = {
        End.SUCCEEDED: "healed",
        End.ROLLED_BACK: "did not heal, and was undone on",
        End.FAILED: "failed on",
        End.SKIPPED: "was not tried on",
    }[end]
    seen = "" if label is None else f"; somebody who saw it says it {'helped' if label else 'did not help'}"
    return f"{playbook} {did} {component} ({signature}){seen}: {tally.successes} of {tally.runs} so far"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One real attempt: how sure the decision was (0–1), and whether it helped. In order of time."""

    confidence: float
    success: bool


def brier(attempts: Sequence[Attempt]) -> float | None:
    """Mean squared difference of confidence and outcome (Brier 1950): 0 is perfect, 0.25 is a coin's."""
    if not attempts:
        return None
    return sum((attempt.confidence - attempt.success) ** 2 for attempt in attempts) / len(attempts)


def learning_curve(attempts: Sequence[Attempt], parts: int = 10) -> list[float]:
    """Success rate of each successive part of the attempts; fewer parts where there are fewer attempts."""
    parts = min(parts, len(attempts))
    edges = [round(len(attempts) * part / parts) for part in range(parts + 1)] if parts else []
    return [sum(attempt.success for attempt in attempts[start:end]) / (end - start) for start, end in pairwise(edges)]


def proposed_threshold(attempts: Sequence[Attempt]) -> float | None:
    """The lowest confidence from which on nine of ten attempts helped, on at least twenty.

    None without that evidence. It can't go below what has been tried: what was not tried is not known.
    """
    if len(attempts) < _EVIDENCE:
        return None
    lowest = min(attempt.confidence for attempt in attempts)
    for threshold in _CANDIDATES:
        above = [attempt for attempt in attempts if attempt.confidence >= threshold]
        if len(above) < _EVIDENCE:
            return None
        if threshold >= lowest - 0.01 and sum(attempt.success for attempt in above) >= _TARGET * len(above):
            return threshold
    return None
