"""Which provider comes next, and whether one may be gone back to."""

from __future__ import annotations

from collections.abc import Callable

from shared.packs.component import Providers


class RoutingError(Exception):
    """There is nowhere to go; the message says who was looked at."""


def failover_target(
    providers: Providers, current: str, is_ill: Callable[[str], bool], wanted: str | None = None
) -> str:
    """The provider to lead traffic to: `wanted`, or the first by rank that is neither `current` nor ill.

    The primary takes part: when a backup fails after the primary has recovered, it is the best there is.

    Raises:
        RoutingError: `wanted` is none of the declared ones or is ill, or all others are.
    """
    if wanted is not None:
        if wanted not in providers.ranked:
            raise RoutingError(f"{wanted!r} is none of the declared providers: {', '.join(providers.ranked)}")
        if wanted != current and is_ill(wanted):
            raise RoutingError(f"{wanted} is ill itself: nothing is led there")
        return wanted
    others = [name for name in providers.ranked if name != current]
    for name in others:
        if not is_ill(name):
            return name
    raise RoutingError(f"no provider is left to lead traffic to: {', '.join(others)} are ill too")


def failback_target(providers: Providers, is_ill: Callable[[str], bool]) -> str:
    """The primary. Raises RoutingError while it is ill."""
    if is_ill(providers.primary):
        raise RoutingError(f"{providers.primary} is ill again: traffic stays where it is")
    return providers.primary
