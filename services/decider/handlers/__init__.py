"""What the decider does with what it hears."""

from services.decider.handlers import accounts, models
from services.decider.handlers.casework import Casework, Pace
from services.decider.handlers.choosing import strategies
from services.decider.handlers.events import Handlers
from services.decider.handlers.explaining import explain
from services.decider.handlers.governor import Governor
from services.decider.handlers.governor_state import GovernorView
from services.decider.handlers.overriding import Overriding
from services.decider.handlers.people import People
from services.decider.handlers.returns import Returns
from services.decider.handlers.review import Review
from services.decider.handlers.rights import Rights
from services.decider.handlers.world import AgentBook, HealthBook, KnowledgeBook, PracticeBook, StormBook, World

__all__ = [
    "AgentBook",
    "Casework",
    "Governor",
    "GovernorView",
    "Handlers",
    "HealthBook",
    "KnowledgeBook",
    "Overriding",
    "Pace",
    "People",
    "PracticeBook",
    "Returns",
    "Review",
    "Rights",
    "StormBook",
    "World",
    "accounts",
    "explain",
    "models",
    "strategies",
]
