"""What the predictor expects to go wrong, and when."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from shared.contracts.base import CaseEvent, CaseKind, Probability, Wire


class Moment(StrEnum):
    """Whether now is a good time to act on a prediction."""

    WAIT = "wait"
    """Traffic is not low, and there is time."""
    QUIET = "quiet"
    DEADLINE = "deadline"
    """Traffic is not low, but waiting longer risks the limit."""
    GONE = "gone"
    """No longer expected."""


class Prediction(CaseEvent):
    """A series is heading for its limit. `case_id` is the prediction's id and stays over its revisions."""

    SUBJECT: ClassVar[str] = "predictor.prediction.v1"

    case_kind: CaseKind = CaseKind.PREDICTION
    revision: Annotated[int, Field(ge=1)]
    metric: str
    current: float
    limit: float
    slope_per_s: float
    eta_s: Annotated[float, Field(ge=0)]
    eta_low_s: Annotated[float, Field(ge=0)]
    eta_high_s: Annotated[float, Field(ge=0)]
    """Bounds of the 90 % interval of the time to the limit."""
    probability: Probability
    """That the limit is reached within the horizon."""
    predicted_issue: str
    signature: str
    moment: Moment
    traffic_per_s: float | None = None
    summary: str
    reason: str = ""
    """Why this revision is said: `opened`, `moment`, `deadline`, `halved`, `repeated`, `reached`, or how it ended:
    `flat`, `reset`, `no-data`, `unwatched`."""
    labels: dict[str, str] = {}
    recommended_action: str = ""
    business_impact: str = ""


class ValidateRequest(Wire):
    """Asks how good the predictions of the last `days` were (`cmd.predictor.validate`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 30


class Validation(Wire):
    """Reply to `ValidateRequest`: what became of the predictions that have ended."""

    since: AwareDatetime
    open: int
    reached: int
    """The limit was reached: right, and nobody acted in time."""
    prevented: int
    """A repair succeeded before the limit."""
    failed: int
    """A repair was tried and didn't help."""
    lapsed: int
    """The climb ended by itself: false alarms."""
    ended: int
    """A restart, silence or a change of the pack ended it: nobody knows."""
    precision: Probability | None
    """(reached + prevented + failed) / (those + lapsed); null before the first."""
    prevention: Probability | None
    """prevented / (reached + prevented + failed)."""
    in_interval: Probability | None
    """Share of the reached whose time lay in the 90 % interval first told."""
    eta_error: float | None
    """Median of |told − true| / true over the reached."""
