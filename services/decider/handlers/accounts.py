"""What acting was worth, and how often decisions were right: counted from what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.decider.domain.confidence import wilson
from services.decider.domain.credit import Arm, Observed, effect
from services.decider.store import trust
from shared import telemetry
from shared.contracts.decider_governance import (
    Accuracy,
    AccuracyRequest,
    Credit,
    CreditArm,
    CreditEffect,
    CreditRequest,
    Share,
)
from shared.outbox import Unit

LATELY = AccuracyRequest(days=30)
"""What the metrics look at."""


async def credit(request: CreditRequest, unit: Unit) -> Credit:
    """Cases that were acted on beside those left alone at random: how much more often they were over in time."""
    found = await trust.observed(unit.session, unit.now - timedelta(days=request.days), unit.now)
    groups = {"": found} | {
        name: [o for o in found if o.playbook == name] for name in sorted({o.playbook for o in found})
    }
    effects = (_effect(name, observed) for name, observed in groups.items())
    return Credit(cases=len(found), effects=tuple(one for one in effects if one is not None))


async def accuracy(request: AccuracyRequest, unit: Unit) -> Accuracy:
    """How often decisions to act were right, how many were made without a person, and in how many one took part."""
    found = await trust.counts(unit.session, unit.now - timedelta(days=request.days))
    return Accuracy(
        right=share_of(found.right, found.known),
        automated=share_of(found.alone, found.called),
        with_a_person=share_of(found.called - found.alone + found.requested, found.called + found.requested),
    )


async def measure(unit: Unit) -> None:
    """Keeps the metrics of accuracy up to date."""
    found = await accuracy(LATELY, unit)
    for name in ("right", "automated", "with_a_person"):
        share: Share = getattr(found, name)
        if share.share is not None:
            telemetry.DECISION_SHARES.labels(name.replace("_", "-")).set(share.share)


def share_of(part: int, whole: int) -> Share:
    """With the 95 % interval; without any, only the counts."""
    if not whole:
        return Share(part=part, whole=whole)
    low, high = wilson(part, whole)
    return Share(part=part, whole=whole, share=part / whole, low=low, high=high)


def _effect(playbook: str, observed: Sequence[Observed]) -> CreditEffect | None:
    found = effect(observed)
    if found is None:
        return None
    return CreditEffect(
        playbook=playbook,
        acted=_arm(found.acted),
        held_off=_arm(found.held),
        effect=found.value,
        low=found.low,
        high=found.high,
    )


def _arm(arm: Arm) -> CreditArm:
    return CreditArm(cases=arm.cases, over_in_time=min(arm.rate, 1.0))
