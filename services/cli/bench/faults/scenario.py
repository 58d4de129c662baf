"""What a scenario declares: what is broken, what should be done about it, and within which time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.packs import Pack

if TYPE_CHECKING:
    from services.cli.bench.faults.ground import Ground

type Deed = Callable[[Ground], Awaitable[None]]
"""Something done to the system under care, or by the people around it."""


class Expect(StrEnum):
    """What should be done about a fault."""

    HEALED = "healed"
    UNTOUCHED = "untouched"
    """Nothing is acted on; asking a person is allowed."""
    HARMLESS = "harmless"
    """Nothing can help: it is left alone, or what is tried is undone, byte for byte."""
    ASKED = "asked"
    """A person is asked, and nothing is acted on."""
    ROLLED_BACK = "rolled back"
    """What was tried is undone, byte for byte, and not tried again."""
    ESCALATED = "escalated"
    """A bounded number of attempts, then a person is asked."""


class Family(StrEnum):
    """Kinds of scenario, as the report counts them."""

    SINGLE = "single faults"
    DOUBLE = "double faults"
    CORRELATED = "correlated faults"
    FLAPPING = "flapping"
    NO_REMEDY = "no playbook fits"
    WORSE = "playbooks that make it worse"
    LATE_LIE = "validation that lies late"
    NO_FAULT = "no fault"
    FORBIDDEN = "acting is forbidden"
    CONTAINER = "containers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario. Only components in `at` may be acted on; each of `heals` must be (by default all of `at`)."""

    name: str
    family: Family
    strike: Deed
    expect: Expect
    at: tuple[str, ...] = ()
    heals: tuple[str, ...] | None = None
    playbooks: tuple[str, ...] = ()
    """Those that may be run; another one is a wrong action."""
    meanwhile: Deed | None = None
    """What people or the fault do after it struck."""
    within_s: float = 45.0
    watch_s: float = 1.0
    """So long after the expected end (or, where nothing is to be done, after the fault) it is looked on."""
    most_runs: int = 1
    """Of one playbook on one component; more is a repetition."""
    pack: Callable[[Pack], Pack] | None = None
    """What the system's pack is for this scenario; by default the suite's."""
    alone: bool = False
    """It begins on new ground: what was tried before it would count."""
    quick: bool = False
    """Belongs to the short selection that is run at every change."""

    @property
    def to_heal(self) -> tuple[str, ...]:
        return self.at if self.heals is None else self.heals
