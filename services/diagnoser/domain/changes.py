"""Changes as evidence: weighted by what was changed, how long before, and how far away in the graph of calls.

A change after the onset can't have made the trouble. A repair is no cause; that the trouble is back soon after one
says something all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.patterns import CONCLUSIVE, MAY_COME_FROM_A_CALLEE, Nature
from services.diagnoser.domain.signals import ChangeSeen, IncidentSeen
from shared.packs import Category

CHANGE_WINDOW_S = 1_800.0
"""Older changes are not held against a component."""
CLOCKS_DIFFER_S = 2.0
"""An incident opens after its onset, and a change is seen a moment after it was made: so much later it is still
taken for one before. Anything later can't be the cause."""
ECHO_BEFORE_S, ECHO_AFTER_S = 1.0, 3.0
"""A file that a repair writes is also seen as a changed file, up to a second before the repair is told of and soon
after: that change is not held against it. A change much later than that is somebody's."""
CONCLUSIVE_DISCOUNT = 0.6
"""A process that is gone can be started again whatever was changed before."""
RELAPSE_S = 900.0
"""Trouble so soon after a repair is likely the same trouble."""


class Place(StrEnum):
    OWN = "own"
    CALLEE = "callee"
    CALLER = "caller"


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """What a change of this kind does: the weight of a fresh one, and how fast that decays."""

    category: Category
    weight: float
    half_life_s: float


KINDS: Mapping[str, ChangeKind] = {
    "config": ChangeKind(Category.CONFIGURATION, 0.8, 300),
    "flag": ChangeKind(Category.CONFIGURATION, 0.65, 300),
    "deployment": ChangeKind(Category.DEPLOYMENT, 0.75, 300),
    "migration": ChangeKind(Category.DEPLOYMENT, 0.5, 600),
    "scale": ChangeKind(Category.OVERLOAD, 0.2, 300),
}
PLACES: Mapping[Place, float] = {Place.OWN: 1.0, Place.CALLEE: 0.5, Place.CALLER: 0.25}
"""How much a change counts by where it was made; further callees halve again for every call between."""
AFTER_A_REPAIR: Mapping[Nature, tuple[Category, float]] = {
    Nature.GONE: (Category.CRASH_LOOP, 0.35),
    Nature.RESOURCE: (Category.MEMORY_LEAK, 0.35),
}
"""What it says that a trouble of this nature is back soon after a repair."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change that may have made the trouble: the category it would be, and how likely that is."""

    change: ChangeSeen
    place: Place
    category: Category
    weight: float
    age_s: float

    @property
    def words(self) -> str:
        where = "" if self.place is Place.OWN else f" of {self.change.component}, a {self.place.value},"
        return f"{self.change.kind} change{where} {self.age_s:.0f} s before: {self.change.summary}"[:200]


def change_age_s(incident: IncidentSeen, change: ChangeSeen) -> float:
    """Seconds from the change to the opening of the incident: it doesn't grow while the incident is open."""
    return max(0.0, (incident.opened_at - change.at).total_seconds())


def changes_before(
    incident: IncidentSeen, changes: Iterable[ChangeSeen], component: str | None = None
) -> list[ChangeSeen]:
    """Changes of a component (by default the incident's) that may have made this trouble, newest first; repairs and
    their echoes left out."""
    component = component or incident.component
    own = [change for change in changes if change.component == component]
    repairs = [change.at for change in own if change.kind == "repair"]
    earliest = incident.opened_at - timedelta(seconds=CHANGE_WINDOW_S)
    latest = incident.opened_at + timedelta(seconds=CLOCKS_DIFFER_S)
    suspects = [
        change
        for change in own
        if change.kind != "repair"
        and earliest <= change.at <= latest
        and not any(-ECHO_BEFORE_S <= (change.at - at).total_seconds() <= ECHO_AFTER_S for at in repairs)
    ]
    return sorted(suspects, key=lambda change: (change.at, change.kind, change.summary), reverse=True)


def repair_before(incident: IncidentSeen, changes: Iterable[ChangeSeen]) -> ChangeSeen | None:
    """The last repair of the component from which this is a relapse."""
    found = [
        change
        for change in changes
        if change.kind == "repair"
        and change.component == incident.component
        and 0 <= (incident.opened_at - change.at).total_seconds() <= RELAPSE_S
    ]
    return max(found, key=lambda change: (change.at, change.summary), default=None)


def suspects(
    incident: IncidentSeen, nature: Nature, changes: Iterable[ChangeSeen], graph: CallGraph
) -> Iterator[Suspect]:
    """What may have made this trouble: of each component and category the likeliest change."""
    kept = list(changes)
    for component, place, distance in _places(incident, nature, graph):
        found: dict[Category, Suspect] = {}
        for change in changes_before(incident, kept, component):
            kind = KINDS.get(change.kind)
            if kind is None:
                continue
            age_s = change_age_s(incident, change)
            weight = kind.weight * 0.5 ** (age_s / kind.half_life_s) * PLACES[place] * 0.5 ** (distance - 1)
            if nature in CONCLUSIVE:
                weight *= CONCLUSIVE_DISCOUNT
            suspect = Suspect(change, place, kind.category, weight, age_s)
            if kind.category not in found or weight > found[kind.category].weight:
                found[kind.category] = suspect
        yield from found.values()


def _places(incident: IncidentSeen, nature: Nature, graph: CallGraph) -> Iterator[tuple[str, Place, int]]:
    """Components whose changes count, with the calls between; its own has none, which counts as one."""
    yield incident.component, Place.OWN, 1
    if nature not in MAY_COME_FROM_A_CALLEE:
        return
    callees = graph.callees(incident.component)
    for name, depth in sorted(callees.items()):
        yield name, Place.CALLEE, depth
    for name, depth in sorted(graph.callers(incident.component).items()):
        if depth == 1 and name not in callees:
            yield name, Place.CALLER, depth
