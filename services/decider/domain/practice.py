"""Whether a playbook's way there and back is proven: by a practice of exactly what it does now, and not long ago."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.decider.domain.governor import Refusal
from services.decider.domain.model import Target
from services.decider.domain.vocabulary import Reason
from shared.packs import Playbook
from shared.packs.practice import spec_hash


def unproven(now: datetime, target: Target, name: str, spec: Playbook) -> Refusal | None:
    """Why a person must be asked before `spec` is run; None: practice has nothing against it.

    A practice that failed always holds against a playbook; that there was none, only where the policy wants one.
    """
    required, fact = target.policy.require_practice, target.practised.get(name)
    if fact is None:
        return _refusal(f"{name} was never practised") if required else None
    if fact.spec_hash != spec_hash(spec):
        return _refusal(f"{name} was changed since it was practised on {fact.at:%Y-%m-%d}") if required else None
    if not fact.passed:
        return _refusal(f"{name} failed its practice on {fact.at:%Y-%m-%d}: {fact.reason}")
    days = target.policy.practice_max_age_days
    if required and now - fact.at > timedelta(days=days):
        return _refusal(f"{name} was last practised on {fact.at:%Y-%m-%d}, more than {days:g} days ago")
    return None


def _refusal(words: str) -> Refusal:
    return Refusal(Reason.NOT_PRACTISED, words)
