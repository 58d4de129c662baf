"""Incidents that belong together, for people: one trouble with what it brought about. Nothing is merged by this.

An incident is put under another one that began about when it did and can be its cause: the diagnoser says so, or it is
of the same component, or of one that it depends on and its own kind of trouble comes from what one depends on. Each is
put under one only, the likeliest, and two that each stand for themselves never come under one another through a third:
two independent failures stay two situations, whatever they bring about in common (requirement B29).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

TOGETHER = timedelta(seconds=60)
"""Beginnings this close may have to do with each other."""
ALIKE_WITHIN = timedelta(seconds=10)
LEAST_ALIKE = 3
LATE = timedelta(seconds=5)
"""A cause may be noticed this much later than what it causes."""
MAX_DISTANCE = 6
OF_ITSELF = ("exited", "stopped", "disk", "memory", "cpu", "config", "refused", "outlier", "oom", "crash")
"""Words of patterns whose cause is at the component itself."""
STORM = "storm"


@dataclass(frozen=True, slots=True)
class Seen:
    """What grouping looks at of one incident."""

    id: str
    component: str
    pattern: str
    opened_at: datetime
    resolved_at: datetime | None = None
    symptom_of: str | None = None
    """The diagnoser's word."""
    group: str = ""
    """Group of replicas that its component stands in."""
    storm_of: tuple[str, ...] = ()
    """For a storm's incident: the components of its pack."""

    @property
    def is_of_itself(self) -> bool:
        words = set(self.pattern.lower().replace(":", "-").replace("_", "-").split("-"))
        return bool(words & set(OF_ITSELF))


@dataclass(frozen=True, slots=True)
class Situation:
    """One trouble, named after the incident that stands for it, and what belongs to it."""

    id: str
    members: tuple[str, ...]
    """The first is the one it is named after; the others in order of their beginning."""


def situations(seen: Sequence[Seen], calls: Callable[[str], Collection[str]]) -> list[Situation]:
    """Newest first. `calls`: the components that one calls directly."""
    ordered = sorted(seen, key=lambda each: (each.opened_at, each.id))
    above: dict[str, str] = {}
    reach = {each.component: _distances(each.component, calls) for each in ordered}
    for each in ordered:
        parent = _parent(each, ordered, reach)
        if parent is not None and _root(parent.id, above) != each.id:
            above[each.id] = parent.id
    _alike(ordered, above)
    _storms(ordered, above)
    groups: dict[str, list[Seen]] = {}
    for each in ordered:
        groups.setdefault(_root(each.id, above), []).append(each)
    newest = sorted(groups.items(), key=lambda item: max(one.opened_at for one in item[1]), reverse=True)
    return [Situation(root, (root, *(each.id for each in members if each.id != root))) for root, members in newest]


def _root(name: str, above: Mapping[str, str]) -> str:
    while name in above:
        name = above[name]
    return name


def _distances(component: str, calls: Callable[[str], Collection[str]]) -> dict[str, int]:
    """How far away each component is that this one depends on."""
    found, waiting = {component: 0}, deque([component])
    while waiting:
        here = waiting.popleft()
        if found[here] < MAX_DISTANCE:
            for called in calls(here):
                if called not in found:
                    found[called] = found[here] + 1
                    waiting.append(called)
    return found


def _parent(each: Seen, others: Sequence[Seen], reach: Mapping[str, Mapping[str, int]]) -> Seen | None:
    """The likeliest of those that may have brought it about."""
    named = next((other for other in others if other.id == each.symptom_of and other.id != each.id), None)
    if named is not None:
        return named
    possible = [other for other in others if other.id != each.id and _may_cause(other, each, reach)]
    return min(
        possible,
        key=lambda other: (
            reach[each.component][other.component] != 0,
            not other.is_of_itself,
            -reach[each.component][other.component],
            abs(other.opened_at - each.opened_at),
            other.id,
        ),
        default=None,
    )


def _may_cause(cause: Seen, each: Seen, reach: Mapping[str, Mapping[str, int]]) -> bool:
    distance = reach[each.component].get(cause.component)
    apart = cause.opened_at - each.opened_at
    if distance is None or not -TOGETHER <= apart <= LATE:
        return False
    if cause.resolved_at is not None and cause.resolved_at < each.opened_at - LATE:
        return False
    if distance == 0:
        # Of two of one component the one that says more, or else the earlier, stands for both.
        rank, other = (
            (not cause.is_of_itself, cause.opened_at, cause.id),
            (not each.is_of_itself, each.opened_at, each.id),
        )
        return rank < other
    return not each.is_of_itself


def _alike(ordered: Sequence[Seen], above: dict[str, str]) -> None:
    """Several replicas with the same symptom at the same moment have one cause that nobody sees yet. Troubles whose
    cause is at the component itself are not put together: two that crash at once may have crashed for two reasons."""
    kinds: dict[tuple[str, str], list[Seen]] = {}
    for each in ordered:
        if each.group and each.id not in above and not each.is_of_itself:
            kinds.setdefault((each.group, each.pattern), []).append(each)
    for members in kinds.values():
        first = members[0]
        near = [one for one in members[1:] if one.opened_at - first.opened_at <= ALIKE_WITHIN]
        if len(near) + 1 >= LEAST_ALIKE:
            above.update({one.id: first.id for one in near})


def _storms(ordered: Sequence[Seen], above: dict[str, str]) -> None:
    """What began in a storm belongs to it: then nobody can tell causes apart."""
    for storm in (each for each in ordered if each.pattern == STORM and each.storm_of):
        for each in ordered:
            ended = storm.resolved_at is not None and each.opened_at > storm.resolved_at
            began = storm.opened_at - TOGETHER <= each.opened_at and not ended
            if began and each.component in storm.storm_of and each.id not in above:
                above[each.id] = storm.id
