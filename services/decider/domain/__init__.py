"""How the decider decides, free of I/O and wire types."""

from services.decider.domain.decide import Ruling, decide
from services.decider.domain.explain import expected_outcome, why
from services.decider.domain.model import (
    Approval,
    Case,
    Cause,
    Declined,
    Forecast,
    Group,
    Inputs,
    Ledger,
    Move,
    PracticeFact,
    Record,
    Requested,
    Standing,
    Target,
    Tried,
    Tuning,
)
from services.decider.domain.options import Option
from services.decider.domain.vocabulary import CaseKind, Moment, Reason, Result, Verdict

__all__ = [
    "Approval",
    "Case",
    "CaseKind",
    "Cause",
    "Declined",
    "Forecast",
    "Group",
    "Inputs",
    "Ledger",
    "Moment",
    "Move",
    "Option",
    "PracticeFact",
    "Reason",
    "Record",
    "Requested",
    "Result",
    "Ruling",
    "Standing",
    "Target",
    "Tried",
    "Tuning",
    "Verdict",
    "decide",
    "expected_outcome",
    "why",
]
