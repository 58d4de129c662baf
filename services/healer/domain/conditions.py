"""Preconditions and success criteria: the variables that they may use, and which of them do not hold.

A condition that can't be evaluated does not hold: what isn't known is no reason to act, and no proof of health.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.packs.component import Component
from shared.packs.expressions import condition_holds
from shared.packs.parameters import Value
from shared.packs.playbook import Condition

_FIGURES = re.compile(r"\bfigures\b")


@dataclass(frozen=True, slots=True)
class Figure:
    """Readings of one metric over a while, all its series together."""

    last: float
    mean: float
    min: float
    max: float
    count: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A component's health as it was last told."""

    status: str = "unknown"
    error_count: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a run at one moment."""

    now: datetime
    name: str
    component: Component
    parameters: Mapping[str, Value]
    health: Mapping[str, Standing] = field(default_factory=dict)
    dependencies: Sequence[str] = ()
    """Components that it calls."""
    dependents: Sequence[str] = ()
    """Components that call it, directly or not."""
    acted_on: Sequence[str] = ()
    """Components that other runs are changing now."""
    case_kind: str = "incident"
    case_clear: bool = False
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Errors:
    """New errors in the second half of the validation window."""

    component: int
    dependents: int


@dataclass(frozen=True, slots=True)
class Unmet:
    """A condition that does not hold, and why when it could not be evaluated."""

    name: str
    why: str
    known: bool = True
    """False: it could not be evaluated, as while nobody has reported a metric."""

    @property
    def words(self) -> str:
        return f"`{self.name}` does not hold: {self.why}"


def wants_figures(conditions: Sequence[Condition]) -> bool:
    """Whether any of them is about metrics, so that they must be read."""
    return any(_FIGURES.search(one.that) for one in conditions)


def first_unmet(conditions: Sequence[Condition], seen: Surroundings, errors: Errors | None = None) -> Unmet | None:
    """The first condition that does not hold; None: they all do. `errors`: for success criteria."""
    context = _context(seen, errors)
    for one in conditions:
        held = condition_holds(one.that, context)
        if not held:
            return Unmet(one.name, held.error or one.that, known=not held.error)
    return None


def _context(seen: Surroundings, errors: Errors | None) -> dict[str, object]:
    """Plain values for CEL; the service's README lists them."""
    now = seen.now.astimezone(UTC)
    own = seen.health.get(seen.name, Standing())
    context: dict[str, object] = {
        "component": {
            "name": seen.name,
            "kind": seen.component.kind,
            "criticality": seen.component.criticality.value,
            "group": seen.component.group or "",
            "attributes": dict(seen.component.attributes),
        },
        "health": {"status": own.status, "error_count": own.error_count},
        "components": {
            name: {"status": one.status, "error_count": one.error_count} for name, one in seen.health.items()
        },
        "dependencies": list(seen.dependencies),
        "dependents": list(seen.dependents),
        "runs": {"count": len(seen.acted_on), "components": list(seen.acted_on)},
        "case": {"kind": seen.case_kind, "clear": seen.case_clear},
        "figures": {
            name: {"last": one.last, "mean": one.mean, "min": one.min, "max": one.max, "count": one.count}
            for name, one in seen.figures.items()
        },
        "params": dict(seen.parameters),
        "time": {"hour": now.hour, "weekday": now.isoweekday()},
    }
    if errors is not None:
        context["errors"] = {"component": errors.component, "dependents": errors.dependents}
        context["probes"] = {"pass": own.status == "healthy"}
    return context
