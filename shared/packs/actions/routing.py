"""Where a component's traffic goes: failover to ranked backups, the way back, and circuit breakers."""

from __future__ import annotations

from shared.contracts.base import Token
from shared.packs.base import Part


class RoutingFailover(Part):
    """Leads the component's traffic to the next of its declared `providers` that is not ill."""

    to: Token | None = None
    """To this one and no other; unset: the first by rank, the primary included, that isn't the one in use."""


class RoutingFailback(Part):
    """Leads the component's traffic back to its primary provider, unless that is ill."""


class RoutingBreaker(Part):
    """Puts the circuit breaker in front of one provider into a state."""

    provider: Token | None = None
    """Unset: the primary."""
