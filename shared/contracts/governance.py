"""How far decisions may be trusted, as the decider tells it: their reasons, and what people make of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from shared.contracts.base import Probability, Token, Wire
from shared.contracts.decider import Alternative, Counterfactual, Verdict


class Explain(Wire):
    """Asks for all that a decision rests on (`cmd.decider.explain`)."""

    decision_id: UUID | None = None
    """By default the newest."""


class Constraint(Wire):
    """One limit on the run that was looked at; `rule` is the reason that is given where it isn't kept."""

    rule: str
    limit: str
    kept: bool
    words: str = ""


class Objectives(Wire):
    """What the pack wants: the weights of the criteria (shares of all), and what the component owes its users."""

    weights: dict[str, float]
    criticality: str
    availability: float | None = None
    latency_p99_ms: float | None = None


class Explained(Wire):
    """Reply to `Explain`: made from the decision's stored inputs, as recomputing it is."""

    decision_id: UUID
    at: AwareDatetime
    component: Token
    verdict: Verdict
    reason: str
    rule: str
    """What the reason means, in words."""
    decided_by: str
    playbook: str | None
    confidence: Probability
    threshold: Probability
    risk: Probability
    risk_max: Probability
    probability: Probability
    """With which the strategy takes this playbook in such a case."""
    objectives: Objectives | None = None
    """None where the component is in no pack."""
    constraints: tuple[Constraint, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    evidence: tuple[str, ...] = ()
    counterfactual: Counterfactual | None = None
    expected_outcome: str
    actual_outcome: dict[str, JsonValue] | None = None
    explanation: str
    model_version: Annotated[int, Field(ge=0)] = 0
    """Of the model of confidence; 0 is the one that comes with Homeostat."""
