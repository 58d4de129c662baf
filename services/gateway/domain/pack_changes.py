"""What would change if a pack were applied, and whether it may be: names of components belong to one pack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

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
class PlaybookVersion:
    """A version of the pack in which one playbook became another; `spec` is None where it was removed."""

    version: int
    spec: Json
    changes: list[PackChange]


def playbook_versions(versions: Sequence[tuple[int, Json]], name: str) -> list[PlaybookVersion]:
    """The versions of a pack that changed the playbook `name`, newest first, of `versions` newest first.

    The oldest one that is given counts as what was before, unless it is the pack's first.

    >>> one, two = {"playbooks": {"a": {"risk": 1}}}, {"playbooks": {"a": {"risk": 2}}}
    >>> [(v.version, [c.where for c in v.changes]) for v in playbook_versions([(3, two), (2, two), (1, one)], "a")]
    [(2, ['risk']), (1, [''])]
    """
    told: list[PlaybookVersion] = []
    specs = [(version, _playbook_of(body, name)) for version, body in versions]
    if specs and specs[-1][0] == 1:
        specs.append((0, None))
    for (version, after), (_, before) in pairwise(specs):
        if before != after:
            told.append(PlaybookVersion(version, after, changes(before, after)))
    return told


def _playbook_of(body: Json, name: str) -> Json:
    playbooks = body.get("playbooks") if isinstance(body, dict) else None
    return playbooks.get(name) if isinstance(playbooks, dict) else None


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
