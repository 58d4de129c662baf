"""One step of a number towards a bound, for delays, batch sizes and time-outs that are tuned little by little."""

from __future__ import annotations

import math
from decimal import Decimal

from shared.packs.actions.files import ConfigStep


class StepError(Exception):
    """The value can't take the step; the message says why."""


def stepped(old: str | int | float | bool, step: ConfigStep) -> int | float:
    """`old` one step further, at most as far as the bound in that direction.

    A whole number stays whole and moves by one at least. Reckoned in decimals: 0.1 + 0.2 is 0.3.

    Raises:
        StepError: no finite number, or already at (or beyond) the bound that the step goes towards.
    """
    if isinstance(old, bool | str) or not math.isfinite(old):
        raise StepError(f"is {old!r}, not a number that can be stepped")
    here = Decimal(str(old))
    there = here * Decimal(str(step.multiply)) if step.multiply is not None else here + Decimal(str(step.add))
    if there == here:
        raise StepError(f"is {old}: multiplying doesn't move it; use `add`")
    low, high = Decimal(str(step.min)), Decimal(str(step.max))
    if isinstance(old, int):
        low, high = Decimal(math.ceil(low)), Decimal(math.floor(high))
        there = Decimal(math.ceil(there) if there > here else math.floor(there))
    goal = min(there, high) if there > here else max(there, low)
    if (goal > here) != (there > here) or goal == here:
        bound = f"max {step.max:g}" if there > here else f"min {step.min:g}"
        raise StepError(f"is {old}, at its bound already ({bound}): another playbook or a person must help")
    if not low <= goal <= high:
        raise StepError(f"is {old}, so far outside {step.min:g} to {step.max:g} that one step doesn't lead back")
    return int(goal) if isinstance(old, int) else float(goal)
