"""What the diagnoser does with what it hears."""

from services.diagnoser.handlers.events import Handlers, Patience
from services.diagnoser.handlers.experience import Experience

__all__ = ["Experience", "Handlers", "Patience"]
