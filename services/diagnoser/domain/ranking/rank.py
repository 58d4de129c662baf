"""Who is the root of a trouble: what each component lost that none of its callees accounts for, and who was first.

Latency adds up along calls and failures travel with them. So with a call graph, a component's own part is its excess
(time lost or calls failed) less that of the components it calls; the excess of one that
only waits for another vanishes. A resource that a component uses up itself is a cause without any graph. Without a
graph the size of a shift speaks, on a logarithmic scale so that no small noise makes a small shift great, and kinds
that are usually effects (latency, load) count half.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import log

from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.ranking.kinds import FAILURES, RESOURCES, Kind, additive_order, is_share
from services.diagnoser.domain.ranking.words import told

EFFECT = 0.5
"""Weight of latency, load and failures where no graph tells whose they are."""
FALL = 0.5
"""A level that fell is more often an effect than a cause: less work came."""
LATE_S = 120.0
"""A shift this much later than the first counts half."""
MEMORY_SHARE = 0.02
"""Memory that a component gained, as a share of what all use: from here on it explains the component's CPU as well
(collecting, paging, allocating); the reverse doesn't happen. Tuned on half of a public set, see decision 0017."""
MEMORY_RISE = 1.2
RESOURCE_BONUS = 0.25
"""With a graph: what a resource that moved at a component adds to its own part of the excess, per e-fold."""
TRUST = (1.0, 0.7, 0.5, 0.3)
"""In means, medians, series of unknown kind, and percentiles: how well they add up along calls."""
OVER = 0.5
"""What was over when the trouble was noticed is less likely to have made it."""
UNFELT = 0.2
"""For an excess that no caller on the way shows: nobody waits for it."""
EARLY, LEAD_S, LEAD_READINGS = 0.3, 60.0, 1.5
"""For an excess that began so long before the component in trouble felt anything."""
STALE = 0.3
"""What was there before the search began is less likely still."""
OWN_LEAST = 0.15
"""A component whose own part of its excess is smaller only passes trouble on."""


_SCALES = [(kinds, order) for kinds in (frozenset({Kind.LATENCY}), FAILURES) for order in range(len(TRUST))]
"""Excesses that may be compared with each other."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One series that left its usual level. Shares of failed calls are 0 to 1; `score` in deviations, with its sign;
    `over`: it had ended when the trouble was noticed; `stale`: it was there before anything was looked for; `calls`:
    the component's load meanwhile, if it is known; `every_s`: usual time between readings."""

    component: str
    metric: str
    kind: Kind
    onset_s: float
    until_s: float
    before: float
    after: float
    score: float
    noise: float
    lost: float = 0.0
    """Distance from the usual level, summed over the episode's time."""
    over: bool = False
    stale: bool = False
    calls: float | None = None
    every_s: float = 1.0

    @property
    def ratio(self) -> float:
        """After over before, neither taken for less than the noise."""
        return max(self.after, self.noise) / max(self.before, self.noise)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a component's series say of one moment: those that deviate, the usual levels of those that tell of memory,
    and of what kinds they are at all (a component that tells nothing of latency may well be slow)."""

    component: str
    deviations: tuple[Deviation, ...] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    kinds: frozenset[Kind] = frozenset()

    def between(self, earliest_s: float, latest_s: float) -> Seen:
        """With the deviations alone that began then."""
        return replace(self, deviations=tuple(d for d in self.deviations if earliest_s <= d.onset_s <= latest_s))


class Because(StrEnum):
    """Why a ranking is as it is."""

    NOTHING_DEVIATES = "nothing-deviates"
    OWN_PART = "own-part"
    """By what no callee accounts for."""
    SIZE = "size"
    """No graph: by the size of the shifts and who was first."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A component with its telling series, the first the likeliest root. `share`: of the weight of all suspects."""

    component: str
    weight: float
    share: float
    onset_s: float
    deviations: tuple[Deviation, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Ranking:
    because: Because
    suspects: tuple[Suspect, ...] = ()
    series: tuple[Deviation, ...] = ()
    """All deviating series, the likeliest root first."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is asked about: where it shows and how, if that is known."""

    component: str | None = None
    kinds: frozenset[Kind] = frozenset()
    """Kinds of series that show it; empty: any."""


def rank(seen: Iterable[Seen], graph: CallGraph, trouble: Trouble) -> Ranking:
    """Suspects, the likeliest first. The same input gives the same ranking."""
    every = list(seen)
    totals = _totals(every)
    reach = _reach(graph, trouble)
    if reach is not None:
        every = [one for one in every if one.component in reach]
    found = [deviation for one in every for deviation in one.deviations]
    if not found:
        return Ranking(Because.NOTHING_DEVIATES)
    weights = {one: _size(one, found) for one in found}
    series = _in_order(found, weights, totals)
    by_component: dict[str, list[Deviation]] = {}
    for one in series:
        by_component.setdefault(one.component, []).append(one)
    if reach is not None:
        flow = _Flow(
            graph, trouble, _of_kinds(by_component, trouble.kinds), {one.component: one.kinds for one in every}
        )
        component_weights = _with_resources(flow.own_parts(), by_component)
    else:
        component_weights = {name: max(weights[one] for one in ones) for name, ones in by_component.items()}
    if not component_weights:
        return Ranking(Because.NOTHING_DEVIATES)
    suspects = _suspects(component_weights, by_component)
    order = {one.component: place for place, one in enumerate(suspects)}
    ranked = tuple(sorted(series, key=lambda one: order.get(one.component, len(order))))
    return Ranking(Because.SIZE if reach is None else Because.OWN_PART, suspects, ranked)


def _totals(every: Iterable[Seen]) -> dict[str, float]:
    """Usual level of each memory metric over all components."""
    totals: dict[str, float] = {}
    for one in every:
        for metric, level in one.levels.items():
            totals[metric] = totals.get(metric, 0.0) + level
    return totals


def _reach(graph: CallGraph, trouble: Trouble) -> Collection[str] | None:
    """The component in trouble and all that it calls; None when the graph says nothing of it."""
    if trouble.component is None:
        return None
    callees = graph.callees(trouble.component)
    return {trouble.component, *callees} if callees else None


def _of_kinds(
    by_component: Mapping[str, Sequence[Deviation]], kinds: frozenset[Kind]
) -> Mapping[str, Sequence[Deviation]]:
    if not kinds:
        return by_component
    shown = {name: [one for one in ones if one.kind in kinds] for name, ones in by_component.items()}
    return {name: ones for name, ones in shown.items() if ones}


# ---- with a graph


@dataclass
class _Flow:
    """How excess travels up to the component in trouble."""

    graph: CallGraph
    trouble: Trouble
    shown: Mapping[str, Sequence[Deviation]]
    """Deviations of the kinds asked about."""
    kinds: Mapping[str, frozenset[Kind]]

    def own_parts(self) -> dict[str, float]:
        """Of each component that deviates, its own part of the excess, the largest excess being one."""
        parts: dict[str, float] = {}
        for kinds, order in _SCALES:
            excess = {name: _excess(ones, kinds, order) for name, ones in self.shown.items()}
            excess = {name: amount for name, amount in excess.items() if amount > 0}
            felt = self._felt(excess, kinds)
            quiet = self._quiet(kinds)
            largest = max(excess.values(), default=0.0)
            for name, amount in excess.items():
                own = amount - sum(excess.get(callee, 0.0) for callee in self._deviating_callees(name, excess))
                if own < OWN_LEAST * amount or (quiet and (name not in felt or order > 0)):
                    continue
                weight = own / largest * TRUST[order] * (1.0 if name in felt else UNFELT) * self._timely(name, kinds)
                parts[name] = max(parts.get(name, 0.0), weight)
        return parts

    def _felt(self, excess: Mapping[str, float], kinds: frozenset[Kind]) -> set[str]:
        """Components whose excess arrives: on some path all between deviate too, or tell nothing of these kinds."""
        assert self.trouble.component is not None
        felt = {self.trouble.component}
        waiting = [self.trouble.component]
        while waiting:
            for callee in self.graph.calls.get(waiting.pop(), ()):
                if callee not in felt and (callee in excess or not self.kinds.get(callee, frozenset()) & kinds):
                    felt.add(callee)
                    waiting.append(callee)
        return felt

    def _quiet(self, kinds: frozenset[Kind]) -> bool:
        """The component asked about would show trouble of these kinds, and shows none."""
        component = self.trouble.component or ""
        shows = any(one.kind in kinds and _is_worse(one) for one in self.shown.get(component, ()))
        return not shows and bool(self.kinds.get(component, frozenset()) & kinds)

    def _timely(self, name: str, kinds: frozenset[Kind]) -> float:
        """Less for what began long before the trouble was felt: it was there without it."""
        theirs = [one for one in self.shown.get(self.trouble.component or "", ()) if one.kind in kinds]
        mine = [one for one in self.shown[name] if one.kind in kinds]
        if not theirs or not mine:
            return 1.0
        lead_s = min(one.onset_s for one in theirs) - min(one.onset_s for one in mine)
        return EARLY if lead_s > max(LEAD_S, LEAD_READINGS * min(one.every_s for one in theirs)) else 1.0

    def _deviating_callees(self, name: str, excess: Mapping[str, float]) -> set[str]:
        """The nearest callees that deviate, past those that tell nothing."""
        found: set[str] = set()
        seen = {name}
        waiting = list(self.graph.calls.get(name, ()))
        while waiting:
            callee = waiting.pop()
            if callee in seen:
                continue
            seen.add(callee)
            if callee in excess:
                found.add(callee)
            else:
                waiting.extend(self.graph.calls.get(callee, ()))
        return found


def _with_resources(parts: dict[str, float], every: Mapping[str, Sequence[Deviation]]) -> dict[str, float]:
    """What a component uses up itself speaks for it, felt or not."""
    for name, ones in every.items():
        used = max((log(one.ratio) for one in ones if one.kind in RESOURCES and one.score > 0), default=0.0)
        if used > 0:
            parts[name] = parts.get(name, 0.0) + RESOURCE_BONUS * used
    return parts


def _excess(ones: Sequence[Deviation], kinds: frozenset[Kind], order: int) -> float:
    """Time lost or calls failed by the series of one order of additivity: only like is compared with like."""
    fitting = [one for one in ones if one.kind in kinds and additive_order(one.metric) == order and _is_worse(one)]
    amounts = [one.lost * _calls(one) * _fresh(one) for one in fitting]
    return max(amounts, default=0.0)


def _calls(one: Deviation) -> float:
    """What a call's loss has to be multiplied by; a number of failures is a sum already."""
    return 1.0 if one.calls is None or (one.kind is Kind.ERRORS and not is_share(one.metric)) else one.calls


def _fresh(one: Deviation) -> float:
    return (OVER if one.over else 1.0) * (STALE if one.stale else 1.0)


def _is_worse(one: Deviation) -> bool:
    return one.score < 0 if one.kind is Kind.SUCCESS else one.score > 0


# ---- sizes


def _size(one: Deviation, found: Sequence[Deviation]) -> float:
    """How much a shift says by itself."""
    if one.kind in FAILURES:
        amount = log(1.0 + abs(one.score)) if _is_worse(one) else 0.0
    else:
        amount = abs(log(one.ratio)) * (1.0 if one.score > 0 else FALL)
    if one.kind not in RESOURCES:
        amount *= EFFECT
    amount *= _fresh(one)
    under_way = [other.onset_s for other in found if not (other.over or other.stale)]
    later_s = max(0.0, one.onset_s - min(under_way, default=one.onset_s))
    return amount / (1.0 + later_s / LATE_S)


def _in_order(
    found: Sequence[Deviation], weights: Mapping[Deviation, float], totals: Mapping[str, float]
) -> list[Deviation]:
    """By weight; memory before the CPU that it costs."""
    heavy = {one.component for one in found if _memory_grew(one, totals)}

    def key(one: Deviation) -> tuple[float, bool, float, str]:
        weight = weights[one]
        explains = one.component in heavy and one.kind is Kind.MEMORY
        if explains:
            weight = max(weights[o] for o in found if o.component == one.component and o.kind in RESOURCES)
        return (-weight, not explains, one.onset_s, f"{one.component}/{one.metric}")

    return sorted(found, key=key)


def _memory_grew(one: Deviation, totals: Mapping[str, float]) -> bool:
    if one.kind is not Kind.MEMORY or one.ratio < MEMORY_RISE:
        return False
    total = max(totals.get(one.metric, 0.0), one.before)
    return one.after - one.before >= MEMORY_SHARE * total


def _suspects(weights: Mapping[str, float], by_component: Mapping[str, Sequence[Deviation]]) -> tuple[Suspect, ...]:
    total = sum(weights.values()) or 1.0
    onsets = {name: min(one.onset_s for one in ones) for name, ones in by_component.items()}
    order = sorted(weights, key=lambda name: (-weights[name], onsets[name], name))
    return tuple(
        Suspect(
            component=name,
            weight=weights[name],
            share=weights[name] / total,
            onset_s=onsets[name],
            deviations=tuple(by_component[name]),
            words=told(
                by_component[name][0],
                [onset for other, onset in onsets.items() if other != name],
            ),
        )
        for name in order
    )
