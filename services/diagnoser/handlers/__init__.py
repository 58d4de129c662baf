"""What the diagnoser does with what it hears."""

from services.diagnoser.handlers.events import Handlers, Patience

__all__ = ["Handlers", "Patience"]
