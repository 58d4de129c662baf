"""The decider's tables and queries."""

from services.decider.store import cases, decisions, grants, registry, trust
from services.decider.store.models import (
    AutonomyRow,
    Base,
    CaseRow,
    DecisionRow,
    GrantRow,
    ModelRow,
    OverrideRow,
    TrialRow,
)

__all__ = [
    "AutonomyRow",
    "Base",
    "CaseRow",
    "DecisionRow",
    "GrantRow",
    "ModelRow",
    "OverrideRow",
    "TrialRow",
    "cases",
    "decisions",
    "grants",
    "registry",
    "trust",
]
