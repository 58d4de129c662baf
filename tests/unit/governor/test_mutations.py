"""The promises can be broken: with any one guard taken away, what that guard keeps from happening happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from services.decider.domain.governor import limits
from services.decider.domain.vocabulary import Reason
from services.decider.handlers import Casework, Governor, World
from services.decider.handlers import Handlers as DeciderHandlers
from services.healer.domain.fencing import Lease
from services.healer.handlers import Handlers as HealerHandlers
from services.healer.handlers import runs as healer_handlers
from services.healer.workflows import guard as guards
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import Guard
from services.healer.workflows.preparing import Preparing
from services.healer.workflows.records import Finished
from tests.unit.governor import courses
from tests.unit.governor.machine import Life
from tests.unit.governor.memory import BrokenError
from tests.unit.governor.stores import Grants


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


def _whatever_the_switch(real: Any) -> Any:
    async def refusal(self: Guard, *arguments: Any) -> str:
        found = await real(self, *arguments)
        return "" if found == guards.SWITCHED_OFF else str(found)

    return refusal


def _whatever_the_risk(real: Any) -> Any:
    def question(*arguments: Any) -> Any:
        found = real(*arguments)
        return None if found is not None and found.reason is Reason.RISK_TOO_HIGH else found

    return question


async def _ended_in_silence(_self: Finishing, _decision: Any, ending: Any, *_: Any) -> Finished:
    return Finished(status=ending.status.value)


decide = import_module("services.decider.domain.decide")  # the module: its package gives the function that name


@dataclass(frozen=True, slots=True)
class Mutation:
    """`what` of `where` is replaced; then this course breaks a promise with words like `breaks`."""

    where: object
    what: str
    instead: Any
    course: Callable[[Life], None]
    breaks: str


MUTATIONS = {
    "the decider forgets the kill switch": Mutation(
        limits, "_switched_off", _nothing, courses.trouble_while_switched_off, "an order while the kill switch is on"
    ),
    "the healer forgets the kill switch": Mutation(
        Guard, "refusal", _whatever_the_switch(Guard.refusal), courses.switched_off_before_the_first_step,
        "an action after the kill switch",
    ),
    "a busy component is granted again": Mutation(
        limits, "_busy", _nothing, courses.a_second_incident_while_the_first_is_mended, "exclude each other|two leases"
    ),
    "budgets are not looked at": Mutation(
        limits, "_budgets", lambda *_: [], courses.trouble_that_comes_back_four_times, "budget is exceeded"
    ),
    "targets at once are not counted": Mutation(
        limits, "_targets", _nothing, courses.trouble_in_three_places, "too many targets at once"
    ),
    "min_healthy is not looked at": Mutation(
        limits, "_min_healthy", _nothing, courses.trouble_where_most_of_the_group_is_ill, "too few of the group"
    ),
    "shares of a group are not looked at": Mutation(
        limits, "_group_share", _nothing, courses.trouble_of_two_of_a_group, "too many of the group"
    ),
    "risk is not looked at": Mutation(
        decide, "_question", _whatever_the_risk(decide._question), courses.a_risk_above_the_limit,
        "a risk above the limit",
    ),
    "epochs do not rise": Mutation(
        Grants, "next_epoch", staticmethod(_one), courses.trouble_that_comes_back, "an epoch that did not rise"
    ),
    "leases are not looked at": Mutation(
        guards, "fenced", _bound(guards.fenced, _whatever_the_lease), courses.a_healer_frozen_for_longer_than_its_lease,
        "an action after its lease",
    ),
    "whoever was overtaken goes on": Mutation(
        guards, "fenced", _bound(guards.fenced, _whoever_holds_it), courses.a_frozen_healer_that_was_overtaken_wakes,
        "another has taken over from",
    ),
    "questions are taken for orders": Mutation(
        healer_handlers, "is_to_be_run", lambda decision: decision.plan is not None, courses.a_person_is_asked,
        "an action without a decision",
    ),
    "dry runs are carried out": Mutation(
        Preparing, "plan", _not_stopped_by_dry_run(Preparing.plan), courses.trouble_of_what_is_only_watched,
        "an action without a decision",
    ),
    "silent runs are waited for": Mutation(
        DeciderHandlers, "_give_up_a_silent_run", _no, courses.an_order_that_is_lost, "a lease that never ends"
    ),
    "stranded runs are left": Mutation(
        HealerHandlers, "finish_stranded", _zero, courses.a_run_that_can_not_go_on, "a run that never ends"
    ),
    "waiting runs are not started": Mutation(
        HealerHandlers, "start_waiting", _zero, courses.a_healer_that_dies_before_it_starts_a_run,
        "a run that never ends",
    ),
    "ends are not told": Mutation(
        Finishing, "finish", _ended_in_silence, courses.a_run_that_goes_well,
        "a run that never ends|a lease that never ends",
    ),
    "failures are not thought about": Mutation(
        Casework, "_think_on", _nothing_later, courses.a_run_that_fails, "nobody is asked"
    ),
    "leases are not given back": Mutation(
        Governor, "release", _nothing, courses.a_run_that_goes_well, "a lease that never ends"
    ),
    "whom the group still has is not counted": Mutation(
        World, "_group", _nothing_later, courses.trouble_of_two_of_a_group, "of the group"
    ),
}  # fmt: skip
FOUND_SOON = (
    "the decider forgets the kill switch", "the healer forgets the kill switch", "budgets are not looked at",
    "targets at once are not counted", "min_healthy is not looked at", "shares of a group are not looked at",
    "risk is not looked at", "questions are taken for orders", "ends are not told", "failures are not thought about",
)  # fmt: skip


def test_every_course_ends_well_with_all_guards() -> None:
    """So that what is broken below is the mutation's doing."""
    for course in {mutation.course for mutation in MUTATIONS.values()} | {
        courses.a_diagnosis_that_overtakes_its_incident
    }:
        courses.live(course)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_guard_that_is_taken_away_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation = MUTATIONS[name]
    monkeypatch.setattr(mutation.where, mutation.what, mutation.instead)
    with pytest.raises(BrokenError, match=mutation.breaks):
        courses.live(mutation.course)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND_SOON)
def test_the_machine_finds_it_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation = MUTATIONS[name]
    monkeypatch.setattr(mutation.where, mutation.what, mutation.instead)
    with pytest.raises(BrokenError):
        run_state_machine_as_test(Life, settings=settings(
            max_examples=600, stateful_step_count=50, deadline=None, derandomize=True, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        ))  # fmt: skip
