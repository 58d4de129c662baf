"""What counts as an attempt, and what it teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from services.learner.domain.knowledge import Tally


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
