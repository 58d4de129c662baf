"""How urgent an incident is for people: from what it is, whose it is, who depends on that, and what is promised."""

from __future__ import annotations

from dataclasses import dataclass

from services.detector.domain.signals import Severity
from shared.packs.base import Criticality

_WEIGHT = {Criticality.LOW: 0, Criticality.MEDIUM: 1, Criticality.HIGH: 2}
MANY_CALLERS = 4
BUDGET_SPENT = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a component is to the others. `callers`: that depend on it, directly or not."""

    criticality: Criticality = Criticality.MEDIUM
    callers: int = 0


def priority(severity: Severity, standing: Standing, *, burning: bool, doubted: bool = False) -> str:
    """`P1` (now, whoever sleeps) to `P4` (some day). `burning`: an objective of the component burns or is spent.
    `doubted`: such alarms were seldom worth having, so this one is a step less urgent, unless an objective burns.

    >>> priority(Severity.CRITICAL, Standing(Criticality.HIGH, 2), burning=False)
    'P1'
    >>> priority(Severity.WARNING, Standing(Criticality.LOW, 0), burning=False)
    'P4'
    >>> priority(Severity.CRITICAL, Standing(Criticality.HIGH, 2), burning=False, doubted=True)
    'P2'
    """
    points = 3 if severity is Severity.CRITICAL else 1
    points += _WEIGHT[standing.criticality] + burning
    points += (standing.callers > 0) + (standing.callers >= MANY_CALLERS)
    step = 1 if points >= 6 else 2 if points >= 4 else 3 if points >= 2 else 4
    return f"P{min(step + (doubted and not burning), 4)}"
