"""What the learner says of alarms: how often those of one pattern on one component were worth having."""

from __future__ import annotations

from dataclasses import dataclass

ENOUGH = 8
"""Fewer judged alarms say nothing."""
SELDOM = 0.5
"""An alarm that is certain to be worth it less often than this is doubted."""


@dataclass(frozen=True, slots=True)
class Worth:
    """`share` of the judged alarms that were worth having, and the upper end of its 95 % interval."""

    judged: int
    share: float
    high: float

    @property
    def doubted(self) -> bool:
        """Most such alarms passed by themselves and cost nothing: people needn't be woken for the next.

        >>> Worth(20, 0.1, 0.3).doubted, Worth(5, 0.0, 0.4).doubted, Worth(20, 0.5, 0.7).doubted
        (True, False, False)
        """
        return self.judged >= ENOUGH and self.high < SELDOM
