"""The decider's tables and queries."""

from services.decider.store import cases, decisions, grants
from services.decider.store.models import Base, CaseRow, DecisionRow, GrantRow

__all__ = ["Base", "CaseRow", "DecisionRow", "GrantRow", "cases", "decisions", "grants"]
