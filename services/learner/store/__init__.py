"""The learner's tables and queries."""

from services.learner.store import alarms, foretold, knowledge, models, outcomes, people, turn
from services.learner.store.tables import (
    AlarmRow,
    Base,
    DecisionRow,
    FeedbackRow,
    ForetoldRow,
    KnowledgeRow,
    LabelRow,
    ModelRow,
    OutcomeRow,
    OverrideRow,
)

__all__ = [
    "AlarmRow",
    "Base",
    "DecisionRow",
    "FeedbackRow",
    "ForetoldRow",
    "KnowledgeRow",
    "LabelRow",
    "ModelRow",
    "OutcomeRow",
    "OverrideRow",
    "alarms",
    "foretold",
    "knowledge",
    "models",
    "outcomes",
    "people",
    "turn",
]
