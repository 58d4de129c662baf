"""Who calls whom, over all packs: trouble travels from the called to the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CallGraph:
    """`calls[a]` are the components that `a` calls directly. Circles are allowed: packs may form one together, and
    traces may show one."""

    calls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    observed: frozenset[tuple[str, str]] = frozenset()
    """Those (caller, callee) of `calls` that no pack declares: traces show them."""
    _known_callees: dict[str, dict[str, int]] = field(default_factory=dict, compare=False, repr=False)

    def callees(self, component: str) -> Mapping[str, int]:
        """Everything that `component` calls, directly or not, with the number of calls between them.

        >>> CallGraph({"edge": ("orders",), "orders": ("payments",)}).callees("edge")
        {'orders': 1, 'payments': 2}
        """
        if component not in self._known_callees:
            self._known_callees[component] = _reach(component, lambda name: self.calls.get(name, ()))
        return self._known_callees[component]

    def callers(self, component: str) -> dict[str, int]:
        """Everything that calls `component`, directly or not.

        >>> CallGraph({"edge": ("orders",), "orders": ("payments",)}).callers("payments")
        {'orders': 1, 'edge': 2}
        """
        return _reach(component, lambda name: [caller for caller, called in self.calls.items() if name in called])

    def rests_on_traces(self, caller: str, callee: str) -> bool:
        """Whether no path of declared calls leads from `caller` to `callee`.

        >>> CallGraph({"edge": ("orders",)}, frozenset({("edge", "orders")})).rests_on_traces("edge", "orders")
        True
        """
        if not self.observed:
            return False
        declared = _reach(caller, lambda name: [n for n in self.calls.get(name, ()) if (name, n) not in self.observed])
        return callee not in declared


def _reach(start: str, neighbours: Callable[[str], Iterable[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    frontier, depth = [start], 0
    while frontier:
        depth += 1
        reached = [n for name in frontier for n in neighbours(name) if n != start and n not in found]
        found.update(dict.fromkeys(reached, depth))
        frontier = list(dict.fromkeys(reached))
    return found
