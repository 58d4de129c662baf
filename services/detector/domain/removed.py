"""Probes that no pack asks for any more: nobody will ever say that what they found is over."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from services.detector.domain.watch import Watch
from shared.packs.model import PROBE_KINDS

_BESIDE = "/certificate"
"""What an HTTP probe says of the certificate stands under its own name with this added."""


def removed(found: Iterable[tuple[str, str]], watch: Watch, declared_once: Collection[str]) -> list[tuple[str, str]]:
    """Of open incidents, as (component, probe), those whose probe was a pack's and is none any more.

    A probe was a pack's when this process has seen it declared, or when it is named as packs name theirs and its
    component is still in a pack. So neither a pack that hasn't arrived yet, or that this release can't read, ends an
    incident, nor the absence of a name under which somebody else publishes checks.
    """
    return [(component, probe) for component, probe in found if _is_removed(component, probe, watch, declared_once)]


def _is_removed(component: str, probe: str, watch: Watch, declared_once: Collection[str]) -> bool:
    names = {probe, probe.removesuffix(_BESIDE)}
    if any(name in watch.probes for name in names):
        return False
    if any(name in declared_once for name in names):
        return True
    owner, _, rest = probe.partition("/")
    return owner == component and component in watch.components and rest.partition("/")[0] in PROBE_KINDS
