"""The one governor of all that acts: whether something may be done now, and for how long it is somebody's to do."""

from services.decider.domain.governor.damping import REMEMBERED, moves_of
from services.decider.domain.governor.leases import lease_s, renewed_until
from services.decider.domain.governor.limits import Refusal, refusals

__all__ = ["REMEMBERED", "Refusal", "lease_s", "moves_of", "refusals", "renewed_until"]
