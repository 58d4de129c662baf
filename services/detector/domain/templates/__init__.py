"""What log lines are made of: the constant words of the statement that printed them, learned as lines come."""

from services.detector.domain.templates.book import BookState, LogBook, Noted
from services.detector.domain.templates.masking import WILD, tokens
from services.detector.domain.templates.miner import Miner, MinerState, Template

__all__ = ["WILD", "BookState", "LogBook", "Miner", "MinerState", "Noted", "Template", "tokens"]
