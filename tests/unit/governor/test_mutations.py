"""The state machine can fail: with any one guard taken away it finds what that guard keeps from happening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from services.decider.domain.governor import limits
from services.decider.handlers import Casework, Governor, World
from services.decider.handlers import Handlers as DeciderHandlers
from services.decider.store import grants
from services.healer.domain.fencing import Lease
from services.healer.handlers import Handlers as HealerHandlers
from services.healer.handlers import runs as healer_handlers
from services.healer.workflows import guard as guards
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import Guard
from services.healer.workflows.preparing import Preparing
from services.healer.workflows.records import Finished
from tests.unit.governor.machine import Life
from tests.unit.governor.memory import BrokenError

MOST_EXAMPLES = 600
"""Most are found within a hundred."""


def _nothing(*_: object, **__: object) -> None:
    return None


async def _nothing_later(*_: object, **__: object) -> None:
    return None


async def _zero(*_: object, **__: object) -> int:
    return 0


async def _no(*_: object, **__: object) -> bool:
    return False


async def _one(*_: object, **__: object) -> int:
    return 1


def _whatever_the_lease(real: Callable[..., str], epoch: int, newest: Lease, holder: str, me: str, *more: Any) -> str:
    return real(0, newest, holder, me, *more)


def _whoever_holds_it(real: Callable[..., str], epoch: int, newest: Lease, holder: str, me: str, *more: Any) -> str:
    return real(epoch, newest, me, me, *more)


def _bound(real: Callable[..., str], made: Callable[..., str]) -> Callable[..., str]:
    return lambda *arguments: made(real, *arguments)


def _not_stopped_by_dry_run(real: Any) -> Any:
    async def plan(self: Preparing, decision: Any) -> Any:
        return await real(self, decision.model_copy(update={"dry_run": False}))

    return plan


MUTATIONS: dict[str, tuple[object, str, Any, str]] = {
    "the decider forgets the kill switch": (limits, "_switched_off", _nothing, "an order while the kill switch is on"),
    "the healer forgets the kill switch": (Guard, "switched_off", None, "an action after the kill switch"),
    "a busy component is granted again": (limits, "_busy", _nothing, "exclude each other|two leases"),
    "budgets are not looked at": (limits, "_budgets", lambda *_: [], "budget is exceeded"),
    "targets at once are not counted": (limits, "_targets", _nothing, "too many targets at once"),
    "min_healthy is not looked at": (limits, "_min_healthy", _nothing, "too few of the group"),
    "shares of a group are not looked at": (limits, "_group_share", _nothing, "too many of the group"),
    "epochs do not rise": (grants, "next_epoch", _one, "an epoch that did not rise"),
    "leases are not looked at": (
        guards, "fenced", _bound(guards.fenced, _whatever_the_lease), "an action after its lease",
    ),
    "whoever was overtaken goes on": (
        guards, "fenced", _bound(guards.fenced, _whoever_holds_it), "another has taken over from",
    ),
    "questions are taken for orders": (
        healer_handlers, "is_to_be_run", lambda decision: decision.plan is not None, "an action without a decision",
    ),
    "dry runs are carried out": (
        Preparing, "plan", _not_stopped_by_dry_run(Preparing.plan), "an action without a decision",
    ),
    "silent runs are waited for": (DeciderHandlers, "_give_up_a_silent_run", _no, "a lease that never ends"),
    "stranded runs are left": (HealerHandlers, "finish_stranded", _zero, "a run that never ends"),
    "waiting runs are not started": (HealerHandlers, "start_waiting", _zero, "a run that never ends"),
    "ends are not told": (Finishing, "finish", None, "a run that never ends|a lease that never ends"),
    "failures are not thought about": (Casework, "_think_on", _nothing_later, "nobody is asked"),
    "leases are not given back": (Governor, "release", _nothing, "a lease that never ends|exclude each other"),
    "whom the group still has is not counted": (World, "_group", _nothing_later, "of the group"),
}  # fmt: skip


def test_the_machine_finds_nothing_in_what_is_shipped() -> None:
    """So that what is found below is the mutation's doing."""
    _live(examples=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_guard_that_is_taken_away_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead, wanted = MUTATIONS[name]
    _mutate(monkeypatch, where, what, instead)
    with pytest.raises(BrokenError, match=wanted):
        _live(examples=MOST_EXAMPLES)


def _mutate(monkeypatch: pytest.MonkeyPatch, where: object, what: str, instead: Any) -> None:
    if (where, what) == (Guard, "switched_off"):
        real = Guard.refusal

        async def refusal(self: Guard, *arguments: Any) -> str:
            found = await real(self, *arguments)
            return "" if found == guards.SWITCHED_OFF else found

        monkeypatch.setattr(Guard, "refusal", refusal)
    elif (where, what) == (Finishing, "finish"):

        async def finish(self: Finishing, decision: Any, ending: Any, *_: Any) -> Any:
            return Finished(status=ending.status.value)

        monkeypatch.setattr(Finishing, "finish", finish)
    else:
        monkeypatch.setattr(where, what, instead)


def _live(examples: int) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
