"""What would change if a pack were applied, and whether it may be: names of components belong to one pack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class PackChange:
    """One difference; `before` is None for what was added, `after` for what was removed."""

    kind: ChangeKind
    where: str
    before: Json
    after: Json


def changes(before: Json, after: Json, where: str = "") -> list[PackChange]:
    """Differences of two packs in the order of their keys.

    Entries of a list have no names, so a list is compared as a bag: a changed entry is one removed and one added.
    """
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[PackChange] = []
        for key in dict.fromkeys([*before, *after]):
            place = f"{where}.{key}" if where else key
            if key not in after:
                found.append(PackChange(ChangeKind.REMOVED, place, before[key], None))
            elif key not in before:
                found.append(PackChange(ChangeKind.ADDED, place, None, after[key]))
            else:
                found += changes(before[key], after[key], place)
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = [PackChange(ChangeKind.REMOVED, f"{where}[]", item, None) for item in _without(before, after)]
        found += [PackChange(ChangeKind.ADDED, f"{where}[]", None, item) for item in _without(after, before)]
        return found or [PackChange(ChangeKind.CHANGED, where, before, after)]
    return [PackChange(ChangeKind.CHANGED, where, before, after)]


def _without(items: Sequence[Json], others: Sequence[Json]) -> list[Json]:
    """`items` less one for each equal one of `others`."""
    left = [json.dumps(other, sort_keys=True) for other in others]
    kept = []
    for item in items:
        text = json.dumps(item, sort_keys=True)
        if text in left:
            left.remove(text)
        else:
            kept.append(item)
    return kept


@dataclass(frozen=True, slots=True)
class Collision:
    """A component that another pack has already."""

    component: str
    pack: str


def collisions(pack: str, components: Sequence[str], in_force: Mapping[str, Sequence[str]]) -> list[Collision]:
    """Components of `pack` that other packs in force have too; `in_force` maps packs to their components."""
    return [
        Collision(component, other)
        for other, theirs in sorted(in_force.items())
        if other != pack
        for component in sorted(set(components) & set(theirs))
    ]
