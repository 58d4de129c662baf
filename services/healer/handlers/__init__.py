"""What the healer does when something arrives, and what it does again and again."""

from services.healer.handlers.agents import AgentHandlers, ask
from services.healer.handlers.archiving import Archiving
from services.healer.handlers.files import BackupHandlers, GoodFiles
from services.healer.handlers.practice import PracticeHandlers, StormBook
from services.healer.handlers.routes import Routes
from services.healer.handlers.runs import Handlers, HealthBook, is_to_be_run
from services.healer.handlers.simulating import Simulating

__all__ = [
    "AgentHandlers",
    "Archiving",
    "BackupHandlers",
    "GoodFiles",
    "Handlers",
    "HealthBook",
    "PracticeHandlers",
    "Routes",
    "Simulating",
    "StormBook",
    "ask",
    "is_to_be_run",
]
