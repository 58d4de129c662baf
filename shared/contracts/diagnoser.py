"""What the diagnoser concludes from an incident, its neighbours and recent changes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import CaseEvent, Category, Probability, Token, Wire


class Cause(Wire):
    """One candidate cause, with the reasons for it in words."""

    component: Token
    category: Category
    confidence: Probability
    signature: str
    """Name of the problem, `<category>:<pattern>` or a pack's signature id: outcomes are learned per signature."""
    evidence: tuple[str, ...] = ()


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

    @property
    def best(self) -> Cause:
        return self.causes[0]
