"""What the predictor does with telemetry, decisions, outcomes and questions."""

from services.predictor.handlers.events import Handlers
from services.predictor.handlers.fold import PredictionFold, Told

__all__ = ["Handlers", "PredictionFold", "Told"]
