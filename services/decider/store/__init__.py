"""The decider's tables and queries."""

from services.decider.store import cases, decisions, grants, trust
from services.decider.store.models import AutonomyRow, Base, CaseRow, DecisionRow, GrantRow, OverrideRow, TrialRow

__all__ = [
    "AutonomyRow",
    "Base",
    "CaseRow",
    "DecisionRow",
    "GrantRow",
    "OverrideRow",
    "TrialRow",
    "cases",
    "decisions",
    "grants",
    "trust",
]
