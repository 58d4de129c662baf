"""The story of one case: moments of several services put in order, with the time since it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Act(StrEnum):
    """What a moment of a story is about, in the order in which a case goes."""

    SEEN = "seen"
    CONCLUDED = "concluded"
    DECIDED = "decided"
    DONE = "done"
    CAME_OF_IT = "came of it"


_ORDER = {act: number for number, act in enumerate(Act)}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened in a case. `lines` say why, one reason each."""

    act: Act
    at: datetime
    service: str
    title: str
    lines: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A moment at its place: seconds since the case began, which is never before the first moment."""

    since_start_s: float
    moment: Moment


def tell(moments: Sequence[Moment], began_at: datetime | None = None) -> list[Told]:
    """Moments in order of time; what happened at the same instant is told in the order in which a case goes.

    `began_at`: when the trouble is known to have begun, if that was before anything was told of it.
    """
    if not moments:
        return []
    ordered = sorted(moments, key=lambda moment: (moment.at, _ORDER[moment.act]))
    start = min(ordered[0].at, began_at) if began_at else ordered[0].at
    return [Told((moment.at - start).total_seconds(), moment) for moment in ordered]
