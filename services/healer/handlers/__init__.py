"""What the healer does when something arrives, and what it does again and again."""

from services.healer.handlers.files import BackupHandlers, GoodFiles
from services.healer.handlers.routes import Routes
from services.healer.handlers.runs import Handlers, HealthBook, is_to_be_run

__all__ = ["BackupHandlers", "GoodFiles", "Handlers", "HealthBook", "Routes", "is_to_be_run"]
