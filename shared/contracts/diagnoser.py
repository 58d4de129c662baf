"""What the diagnoser concludes from an incident, its neighbours and recent changes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import CaseEvent, Category, Probability, Token, Wire


class Cause(Wire):
    """One candidate cause, with the reasons for it in words."""

    component: Token
    category: Category
    confidence: Probability
    signature: str
    """Name of the problem, `<category>:<pattern>` or a pack's signature id: outcomes are learned per signature."""
    evidence: tuple[str, ...] = ()
    raw_confidence: Probability | None = None
    """What the evidence alone says; `confidence` is that, corrected by how such diagnoses turned out."""


class NextObservation(Wire):
    """The single further look that would settle a doubtful diagnosis best."""

    name: str
    component: Token
    question: str
    """To be answered with yes or no."""
    gain_bits: Annotated[float, Field(ge=0)]
    """By how much the answer is expected to lower the entropy over the candidate causes."""
    if_yes: Category
    if_no: Category


class Diagnosis(CaseEvent):
    """Ranked causes of an incident. `component` is where the incident was seen; the cause may lie elsewhere."""

    SUBJECT: ClassVar[str] = "diagnoser.diagnosis.v1"

    revision: Annotated[int, Field(ge=1)]
    incident_revision: Annotated[int, Field(ge=1)]
    causes: Annotated[tuple[Cause, ...], Field(min_length=1)]
    """Best first; the last resort is a cause of category `unknown`."""
    symptom_of: UUID | None = None
    """The incident that explains this one, when this one is only a symptom."""
    affected: tuple[Token, ...] = ()
    """Components that call the culprit, directly or not."""
    ruled_out: tuple[str, ...] = ()
    report: str
    estimated_fix_s: Annotated[float, Field(ge=0)] | None = None
    fix_type: Literal["configuration", "code", "infrastructure"] | None = None
    """What kind of thing has to be put right; nothing when the cause is unknown."""
    next_observation: NextObservation | None = None
    """Given when the evidence is too thin to settle on a cause."""
    bottleneck: str = ""
    """What holds things up, when something is slow and a series shows it."""
    recent_changes: tuple[str, ...] = ()
    """Changes near the incident in time and in the graph of calls, the latest first."""

    @property
    def best(self) -> Cause:
        return self.causes[0]


class CalibrationRequest(Wire):
    """Asks how far confidences can be trusted (`cmd.diagnoser.calibration`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class ReliabilityBin(Wire):
    """Causes told with a confidence between `low` and `high`."""

    low: Probability
    high: Probability
    cases: Annotated[int, Field(ge=1)]
    confidence: Probability
    """Mean."""
    right: Probability
    """Share that turned out right."""


class SignatureRecord(Wire):
    """How diagnoses of one signature turned out."""

    signature: str
    category: Category
    cases: Annotated[int, Field(ge=1)]
    right: Annotated[int, Field(ge=0)]
    raw_confidence: Probability
    """Mean of what the evidence said."""
    calibrated: Probability
    """What that confidence is worth today."""
    last_at: AwareDatetime


class Calibration(Wire):
    """Reply to `CalibrationRequest`. The figures are of causes as they were told, `raw_…` of their raw confidence."""

    judged: Annotated[int, Field(ge=0)]
    """Diagnosed causes of which it is known whether they were right."""
    right: Annotated[int, Field(ge=0)]
    brier: float | None
    """Mean squared difference of confidence and outcome: 0 is perfect; null before the first."""
    raw_brier: float | None
    calibration_error: float | None
    """Expected calibration error: mean distance of confidence and share of right ones, over ten bins."""
    raw_calibration_error: float | None
    reliability: tuple[ReliabilityBin, ...]
    signatures: tuple[SignatureRecord, ...]
    """Most cases first."""
