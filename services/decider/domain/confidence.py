"""How sure a playbook is to help: the diagnosis' confidence, moved by the playbook's record (requirement H02)."""

from __future__ import annotations

from math import sqrt

from services.decider.domain.model import Record
from shared.packs import AutomationLevel, Playbook, Policy

FLOOR = 0.5
"""With a record, confidence stays within 0.5–1."""
MAX_SHIFT = 0.10


def shifted(base: float, record: Record | None) -> float:
    """`base` plus the record's shift, within 0.5–1; without a record just `base`.

    >>> shifted(0.70, Record("s", "p", 10, 8, 0.80, 0.06))
    0.76
    >>> shifted(0.70, None)
    0.7
    """
    if record is None or record.runs == 0:
        return base
    shift = min(max(record.shift, -MAX_SHIFT), MAX_SHIFT)
    return round(min(max(base + shift, FLOOR), 1.0), 4)


def threshold(playbook: Playbook, policy: Policy) -> float:
    """The playbook's own, else the policy's: a lower one for what can be undone byte for byte."""
    if playbook.confidence is not None:
        return playbook.confidence
    undoable = playbook.reversible and playbook.rollback == "auto"
    return min(policy.confidence_reversible, policy.confidence) if undoable else policy.confidence


def wilson_low(successes: int, runs: int, z: float = 1.96) -> float:
    """Lower end of the 95 % interval of a success rate.

    >>> round(wilson_low(20, 20), 3)
    0.839
    """
    if runs == 0:
        return 0.0
    rate = successes / runs
    centre = rate + z * z / (2 * runs)
    spread = z * sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return (centre - spread) / (1 + z * z / runs)


def level(playbook: Playbook, policy: Policy, record: Record | None) -> AutomationLevel:
    """How far the playbook may go: where the policy lets it, a semi-auto one earns full-auto by its record."""
    earns_after = policy.earn_auto_after_runs
    if (
        playbook.automation_level is AutomationLevel.SEMI_AUTO
        and earns_after is not None
        and record is not None
        and record.runs >= earns_after
        and wilson_low(record.successes, record.runs) >= policy.earn_auto_success
    ):
        return AutomationLevel.FULL_AUTO
    return playbook.automation_level
