"""What the optimizer does with telemetry, outcomes and questions."""

from services.optimizer.handlers.events import Handlers
from services.optimizer.handlers.fold import Found, TuningFold

__all__ = ["Found", "Handlers", "TuningFold"]
