"""The packs in force, as every service sees them: fed by the last value of each pack's subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog
from pydantic import ValidationError

from shared.contracts.gateway import PackApplied
from shared.packs.component import Component
from shared.packs.model import Pack

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Applied:
    """A pack and the version in which it is in force."""

    version: int
    pack: Pack


@dataclass(frozen=True, slots=True)
class Placed:
    """A component with the pack that it stands in."""

    pack: Pack
    version: int
    component: Component


class PackBook:
    """All packs in force. Component names are unique over packs: the gateway refuses a pack that would break that.

    An invalid body is logged and passed over: the former version stays in force, so that a bad publisher can't
    take a running system out of care.
    """

    def __init__(self) -> None:
        self._packs: dict[str, Applied] = {}
        self._placed: dict[str, Placed] = {}
        self._callers: dict[str, frozenset[str]] = {}
        self._callbacks: list[Callable[[], None]] = []

    @property
    def packs(self) -> Mapping[str, Applied]:
        return MappingProxyType(self._packs)

    def component(self, name: str) -> Placed | None:
        return self._placed.get(name)

    def callees_of(self, name: str) -> frozenset[str]:
        """The components that `name` calls directly."""
        placed = self._placed.get(name)
        return frozenset(placed.component.calls) if placed else frozenset()

    def callers_of(self, name: str) -> frozenset[str]:
        """The components that call `name` directly."""
        return self._callers.get(name, frozenset())

    def dependents_of(self, name: str) -> frozenset[str]:
        """The components that call `name`, directly or not; never `name` itself."""
        found: set[str] = set()
        open_names = [name]
        while open_names:
            new = self.callers_of(open_names.pop()) - found
            found |= new
            open_names += new
        return frozenset(found - {name})

    def on_change(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every change of what is in force."""
        self._callbacks.append(callback)

    async def seen(self, key: str, event: PackApplied | None) -> None:
        """For `bus.watch(PackApplied, book.seen)`: the last value of the pack `key`, or None when it was removed."""
        if event is None or event.body is None:
            if self._packs.pop(key, None) is None:
                return
        else:
            try:
                pack = Pack.model_validate(event.body, extra="ignore")  # a newer gateway may know more
            except ValidationError as error:
                kept = self._packs.get(key)
                log.warning(
                    "invalid pack ignored",
                    pack=key,
                    version=event.version,
                    kept_version=kept.version if kept else None,
                    problems=[f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()[:10]],
                )
                return
            self._packs[key] = Applied(event.version, pack)
        self._rebuild()

    def _rebuild(self) -> None:
        self._placed = dict(_placements(self._packs.values()))
        callers: dict[str, set[str]] = {}
        for name, placed in self._placed.items():
            for called in placed.component.calls:
                callers.setdefault(called, set()).add(name)
        self._callers = {name: frozenset(found) for name, found in callers.items()}
        for callback in self._callbacks:
            callback()


def _placements(applied: Iterable[Applied]) -> Iterable[tuple[str, Placed]]:
    for one in applied:
        for name, component in one.pack.components.items():
            yield name, Placed(one.pack, one.version, component)
