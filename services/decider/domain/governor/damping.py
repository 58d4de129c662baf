"""Against oscillation: a setting that was moved one way is moved back only after a pause that doubles each time.

Healing, scaling and tuning may each be right about one setting and still chase each other for ever. As routes that flap
are held back (RFC 2439) and pods that crash (Kubernetes' back-off), so is what goes to and fro.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from services.decider.domain.model import Case, Move, Target
from shared.packs import Playbook

REMEMBERED = timedelta(hours=6)
"""The longest pause, and how far back moves count."""


def moves_of(case: Case, target: Target, spec: Playbook) -> dict[str, int]:
    """Settings that a playbook moves, as `<file>:<key>`: 1 up, -1 down. What it sets to a fixed value is no move."""
    if case.tuning is not None:
        tuning = case.tuning
        knob = next((one for one in target.knobs if one.name == tuning.knob), None)
        if knob is None or tuning.current is None or tuning.current == tuning.value:
            return {}
        setting = knob.apply.file_set
        return {f"{setting.path}:{setting.key}": 1 if tuning.value > tuning.current else -1}
    found = {}
    for step in spec.steps:
        if (moved := step.config_step) is not None:
            up = moved.multiply > 1 if moved.multiply is not None else (moved.add or 0) > 0
            found[f"{moved.path}:{moved.key}"] = 1 if up else -1
    return found


def damped_until(moves: Sequence[Move], setting: str, direction: int, settle_s: float) -> datetime | None:
    """When `setting` may be moved in this direction, given its moves so far, oldest first; None: at once.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> moves = [Move(noon, "pool", 1), Move(noon + timedelta(hours=1), "pool", -1)]
    >>> damped_until(moves, "pool", -1, 120.0) is None
    True
    >>> str(damped_until(moves, "pool", 1, 120.0))
    '2026-01-01 13:04:00'
    """
    own = [move for move in moves if move.setting == setting]
    if not own or own[-1].direction == direction:
        return None
    reversals = sum(one.direction != other.direction for one, other in pairwise(own))
    pause_s = min(settle_s * 2.0 ** min(reversals, 30), REMEMBERED.total_seconds())
    return own[-1].at + timedelta(seconds=pause_s)
