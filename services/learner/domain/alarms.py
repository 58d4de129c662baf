"""Whether an alarm was worth having, told by what came of it: nobody has to tag anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.learner.domain.thresholds import wilson

PASSES_BY_ITSELF_S = 300.0
"""An alarm that is over by itself within this time, and cost nothing, was probably none."""
BUDGET_SPENT = 0.001
"""Less of an error budget than this is noise of its measurement."""


class Judged(StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    """It went by itself, but lasted, or cost something: not counted."""


class Why(StrEnum):
    HEALED = "a repair ended it"
    TRIED = "a repair was tried on it"
    SAID = "somebody who saw it said so"
    APPROVED = "a person had it repaired"
    COST = "it cost error budget"
    SILENCED = "a person silenced it, and nothing was done"
    REFUSED = "a person refused a repair, and it passed by itself"
    PASSED = "it passed by itself at once, and cost nothing"
    LASTED = "it passed by itself, but lasted"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One incident that is over."""

    lasted_s: float
    repaired: bool = False
    """A run was really tried and helped."""
    tried: bool = False
    approved: bool = False
    rejected: bool = False
    silenced: bool = False
    """By a person, not by a maintenance window."""
    budget_spent: float = 0.0
    """Share of the component's error budget that went meanwhile."""
    said: bool | None = None
    """What somebody who saw it says: whether a repair of it was a success; any word means that there was something."""


def judge(alarm: Alarm) -> tuple[Judged, Why]:
    """The strongest sign counts: what was done about it, then what people did, what it cost, and how long it took."""
    if alarm.repaired:
        return Judged.TRUE, Why.HEALED
    if alarm.said is not None:
        return Judged.TRUE, Why.SAID
    if alarm.approved:
        return Judged.TRUE, Why.APPROVED
    if alarm.budget_spent > BUDGET_SPENT:
        return Judged.TRUE, Why.COST
    if alarm.tried:
        return Judged.UNKNOWN, Why.TRIED
    if alarm.silenced:
        return Judged.FALSE, Why.SILENCED
    if alarm.lasted_s > PASSES_BY_ITSELF_S:
        return Judged.UNKNOWN, Why.LASTED
    return Judged.FALSE, Why.REFUSED if alarm.rejected else Why.PASSED


@dataclass(frozen=True, slots=True)
class Precision:
    """How often the alarms of one pattern on one component were worth having, with the 95 % interval."""

    true: int
    false: int
    unknown: int
    share: float | None
    low: float
    high: float


def precision(judged: Iterable[Judged]) -> Precision:
    """What is unknown is left out."""
    found = list(judged)
    true, false = found.count(Judged.TRUE), found.count(Judged.FALSE)
    low, high = wilson(true, true + false)
    share = true / (true + false) if true + false else None
    return Precision(true, false, found.count(Judged.UNKNOWN), share, round(low, 4), round(high, 4))


def advice(pattern: str, component: str, found: Precision) -> str:
    """What a person could do about alarms that are seldom worth it; empty where nothing is wrong."""
    if found.share is None or found.high >= 0.5 or found.false < 5:
        return ""
    return (
        f"{found.false} of {found.true + found.false} alarms {pattern} on {component} passed by themselves and cost "
        f"nothing: have it hold for longer (`for_s`), or move its limit"
    )
