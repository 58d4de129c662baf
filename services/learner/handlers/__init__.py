"""What the learner does with what it hears."""

from services.learner.handlers.advice import Advice
from services.learner.handlers.events import Handlers
from services.learner.handlers.learning import Learning
from services.learner.handlers.questions import Questions
from services.learner.handlers.senses import Senses
from services.learner.handlers.training import Training

__all__ = ["Advice", "Handlers", "Learning", "Questions", "Senses", "Training"]
