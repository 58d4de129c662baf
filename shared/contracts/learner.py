"""What the learner knows, kept as the last value of each subject so that a new reader has it at once."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import Event, Probability, Token, Wire


class Knowledge(Event):
    """How one playbook has done on one signature."""

    SUBJECT: ClassVar[str] = "state.learner.knowledge.v1"
    KEY: ClassVar[str] = "slug"

    signature: str
    playbook: str
    slug: Token
    """`signature` and `playbook` as one token: the subject's key."""
    runs: Annotated[int, Field(ge=0)]
    successes: Annotated[int, Field(ge=0)]
    success_rate: Probability
    confidence_shift: float
    """Points of confidence (0–1) to add: (success_rate − 0.5) × 0.20, requirement H02."""
    mean_recovery_s: float | None = None


class StatisticsRequest(Wire):
    """Asks how repairs of the last `days` went (`cmd.learner.statistics`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class FixStatistics(Wire):
    """Attempts of one kind of fix; dry runs and skipped runs are none."""

    total: int
    successes: int
    success_rate: Probability
    mean_recovery_s: float | None = None
    last_updated: AwareDatetime


class Statistics(Wire):
    """Reply to `StatisticsRequest`."""

    total: int
    successes: int
    success_rate: Probability | None
    """Null before the first attempt."""
    by_type: dict[str, FixStatistics]
    """By playbook."""
    last_updated: AwareDatetime | None
    asked: int
    """Decisions that asked a person, and what they said."""
    approved: int
    rejected: int
    brier: float | None
    """Mean squared difference of confidence and outcome: 0 is perfect."""
    curve: tuple[float, ...]
    """Success rate of each successive tenth of the attempts: rises while it learns."""
    proposed_threshold: Probability | None
    """Lowest confidence from which on nine of ten attempts helped; null without twenty such attempts."""


class ExportRequest(Wire):
    """Asks for a page of the knowledge base (`cmd.learner.export`)."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 500


class Export(Wire):
    """Reply to `ExportRequest`: JSON lines, oldest first; ask again with `after=next` until that is null."""

    lines: tuple[str, ...]
    next: int | None


class FeedbackRequest(Wire):
    """Asks for the newest lessons (`cmd.learner.feedback`)."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Feedback(Wire):
    """One lesson."""

    decision_id: UUID
    at: AwareDatetime
    outcome_quality: Probability
    feedback_type: str
    """`outcome`, `external` or `override`."""
    lessons_learned: str


class Feedbacks(Wire):
    """Reply to `FeedbackRequest`, newest first."""

    feedback: tuple[Feedback, ...]
