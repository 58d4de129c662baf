"""What the healer does when something arrives, and what it does again and again."""

from services.healer.handlers.agents import AgentHandlers, ask
from services.healer.handlers.files import BackupHandlers, GoodFiles
from services.healer.handlers.practice import PracticeHandlers, StormBook
from services.healer.handlers.runs import Handlers, HealthBook, is_to_be_run

__all__ = [
    "AgentHandlers",
    "BackupHandlers",
    "GoodFiles",
    "Handlers",
    "HealthBook",
    "PracticeHandlers",
    "StormBook",
    "ask",
    "is_to_be_run",
]
from services.healer.handlers.routes import Routes

__all__ = ["BackupHandlers", "GoodFiles", "Handlers", "HealthBook", "Routes", "is_to_be_run"]
