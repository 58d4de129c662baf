"""Held off at random: now and then a low-harm incident is left alone for a while, to see what acting is worth.

Without it nobody knows which incidents would have ended by themselves. What is drawn comes from a hash of the case, so
that the decision can be made again; the probability is kept, so that the outcomes can be weighted.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.decider.domain.model import Case, Inputs, Target
from services.decider.domain.strategy import uniform
from services.decider.domain.vocabulary import CaseKind
from shared.packs import Severity

RANK = {Severity.WARNING.value: 0, Severity.CRITICAL.value: 1}


@dataclass(frozen=True, slots=True)
class Trial:
    """`held`: left alone for `for_s` seconds. `share` is the probability with which that was drawn."""

    held: bool
    share: float
    for_s: float
    left_s: float = 0.0
    """Until it is acted on."""


def trial(inputs: Inputs, target: Target) -> Trial | None:
    """The arm of a case that may be part of the trial, at its first action; None: it is none of it."""
    rule, case = target.policy.hold_off, inputs.case
    if rule is None or rule.share <= 0 or not _may_be_held(case, rule.max_severity):
        return None
    if uniform(f"{case.id}/hold-off") >= rule.share:
        return Trial(held=False, share=rule.share, for_s=rule.for_s)
    waited_s = (inputs.now - case.held_since).total_seconds() if case.held_since else 0.0
    return Trial(held=True, share=rule.share, for_s=rule.for_s, left_s=max(0.0, rule.for_s - waited_s))


def _may_be_held(case: Case, most: Severity) -> bool:
    """A new incident that is mild enough; nothing was tried in it, and no component waits for it to be mended."""
    mild = RANK.get(case.severity, 1) <= RANK[most.value]
    return case.kind is CaseKind.INCIDENT and mild and not case.tried and not case.flapping
