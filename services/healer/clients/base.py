"""What every actuator is: it looks first, acts on what it saw, and acting twice has the effect of once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.healer.clients.files import FileCopy
from shared.packs.actions.telling import NotifySend
from shared.packs.model import Component

type Fact = str | int | float | bool | None
type Facts = Mapping[str, Fact]
"""What was seen before acting, as plain values: kept durably, so that a repeated step acts on the same sight."""


class ActuatorError(Exception):
    """The action can't be done or did not succeed. The message says what, where and how to mend it."""


class IrreversibleError(Exception):
    """There is no way back from this action; the message says why."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did, in words; `changed` is False when there was nothing left to do."""

    detail: str
    changed: bool = True


class Actuator(Protocol):
    """One step of a playbook, bound to one component.

    `observe` reads only. `apply` gets what `observe` saw, before anything was touched; it may be called again
    after a crash at any point within it. `undo` gets what was seen before the step, and what is seen now.
    All of them raise ActuatorError.
    """

    @property
    def resource(self) -> str:
        """What is acted on, as `file:/etc/app.toml`: a later step on the same must look again."""

    @property
    def files(self) -> Sequence[str]:
        """Files whose bytes the step changes: they are backed up, and put back from the backup."""

    async def observe(self) -> Facts: ...

    def describe(self, seen: Facts) -> str:
        """What `apply` would do, for a person."""

    async def apply(self, seen: Facts) -> Done: ...

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Goes back. Raises IrreversibleError where there is no way back."""


async def _nobody(_message: NotifySend) -> None:
    raise ActuatorError("nobody listens here")


@dataclass(frozen=True, slots=True)
class Context:
    """What an actuator may know of the run it acts for."""

    component: str
    target: Component
    key: str
    """`<decision>/<step>`: names this one action to the outside world, the same at every repetition."""
    timeout_s: float
    http_hosts: Sequence[str]
    last_good: Callable[[str, str], Awaitable[FileCopy | None]]
    """`(path, sha256 now)` → the newest good version that differs."""
    blob: Callable[[str], Awaitable[bytes]]
    """Content by sha256. Raises KeyError."""
    keep: Callable[[bytes], Awaitable[None]]
    """Keeps durably what this step is about to change or has changed, in the place of what it kept before."""
    kept: Callable[[], Awaitable[bytes | None]]
    """What this step has kept; None before it has kept anything. Raises ActuatorError when that is gone."""
    tell: Callable[[NotifySend], Awaitable[None]] = _nobody
    """Says something to people, once, however often this step is repeated."""
    is_ill: Callable[[str], bool] = lambda _component: False
    """Whether a component is in trouble now, as far as anybody watches it."""


def text(facts: Facts, name: str) -> str:
    """A fact that must be text."""
    value = facts[name]
    if not isinstance(value, str):
        raise TypeError(f"fact {name!r} is {value!r}, not text")
    return value


def number(facts: Facts, name: str) -> int:
    """A fact that must be a whole number."""
    value = facts[name]
    if not isinstance(value, int):
        raise TypeError(f"fact {name!r} is {value!r}, not a whole number")
    return value
