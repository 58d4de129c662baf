"""Ranks root causes by who deviated first and most, and along the call graph."""

from services.diagnoser.domain.ranking.kinds import FAILURES, RESOURCES, Kind, kind_of
from services.diagnoser.domain.ranking.look import look_at
from services.diagnoser.domain.ranking.memory import MemoryState, SeriesMemory
from services.diagnoser.domain.ranking.rank import Because, Deviation, Ranking, Seen, Suspect, Trouble, rank

__all__ = [
    "FAILURES",
    "RESOURCES",
    "Because",
    "Deviation",
    "Kind",
    "MemoryState",
    "Ranking",
    "Seen",
    "SeriesMemory",
    "Suspect",
    "Trouble",
    "kind_of",
    "look_at",
    "rank",
]
