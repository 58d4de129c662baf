"""When half the estate alarms at once, it is one trouble: nobody can tell causes from consequences, or heal them all.

A storm begins when enough of a pack's components begin to alarm within a minute, and is over when no wave of alarms
has come for a while: what is still wrong then is diagnosed and healed one by one again. Without new alarms it always
ends, so that the brake on healing can't hold for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.packs.policy import Policy

WITHIN_S = 60.0
PREFIX = "estate-"
"""A storm's incident is of the component `estate-<pack>`: a name that stands for the whole pack."""


@dataclass(frozen=True, slots=True)
class Storm:
    since: float
    raged_at: float


def component_of(pack: str) -> str:
    """
    >>> component_of("shop")
    'estate-shop'
    """
    return f"{PREFIX}{pack}"[:64].rstrip("-_")


def needed(size: int, policy: Policy) -> int:
    """How many of a pack's components make a storm.

    >>> needed(9, Policy()), needed(40, Policy())
    (5, 20)
    """
    share = policy.storm_share * size
    return max(policy.storm_min, int(share) + (share > int(share)))


def judge(before: Storm | None, alarming: int, size: int, policy: Policy, now: float) -> Storm | None:
    """The storm that is on now. `alarming`: components that began to alarm within the last `WITHIN_S`."""
    least = needed(size, policy)
    if before is None:
        return Storm(now, now) if alarming >= least else None
    if alarming * 2 >= least:
        return Storm(before.since, now)
    return before if now - before.raged_at < policy.storm_cool_s else None
