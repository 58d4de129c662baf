"""Settings the optimizer would change, and what it expects of that."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import CaseEvent, CaseKind, Probability, Token, Wire


class Recommendation(CaseEvent):
    """A better value for one knob. `case_id` is the recommendation's id."""

    SUBJECT: ClassVar[str] = "optimizer.recommendation.v1"

    case_kind: CaseKind = CaseKind.RECOMMENDATION
    knob: str
    pack: str
    current: float | None
    recommended: float
    unit: str = ""
    expected_improvement: str
    evidence: str
    implementation_steps: tuple[str, ...]
    risk: Probability
    samples: Annotated[int, Field(ge=0)]


class ResultsRequest(Wire):
    """Asks what came of the recommendations of the last `days` (`cmd.optimizer.results`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 30
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class TuningResult(Wire):
    """One recommendation and what the measurement after it says."""

    case_id: UUID
    at: AwareDatetime
    component: Token
    knob: str
    current: float | None
    recommended: float
    unit: str
    status: str
    """`open`, `applied`, `failed` or `skipped`."""
    p99_before_ms: float
    p99_after_ms: float | None = None
    """Of the first full window after it was applied; null until then."""


class Results(Wire):
    """Reply to `ResultsRequest`, newest first."""

    results: tuple[TuningResult, ...]
    recommended: int
    applied: int
    failed: int
    measured: int
    p99_change: float | None
    """Median of (after − before) / before over the measured: negative is faster."""
