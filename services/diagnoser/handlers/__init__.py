"""What the diagnoser does with what it hears."""

from services.diagnoser.handlers.events import Handlers, Patience
from services.diagnoser.handlers.experience import Experience
from services.diagnoser.handlers.topology import Topology

__all__ = ["Experience", "Handlers", "Patience", "Topology"]
