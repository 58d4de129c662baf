"""Whatever happens, in any order: what a Hypothesis state machine does to the model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.contracts.decider import Decision, Verb
from tests.unit.governor import promises
from tests.unit.governor.model import COMPONENTS, Model, Replica

SKEW_S = 2.0
"""As far as each healer's clock may be off; the healer allows for more."""
number = st.integers(0, 1_000)
component = st.sampled_from(COMPONENTS)


class Life(RuleBasedStateMachine):
    """Incidents, people, crashes, pauses, clocks and messages, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.model = Model()
        self.model.install(self.patch)
        self.logging = structlog.get_config()
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
        )

    # ---- what always holds

    @invariant()
    def never_two_runs_on_a_component(self) -> None:
        promises.never_two_runs_on_a_component(self.model.seen)

    @invariant()
    def one_lease_a_component_under_a_rising_epoch(self) -> None:
        promises.one_lease_a_component_under_a_rising_epoch(self.model.seen)

    @invariant()
    def budgets_are_never_exceeded(self) -> None:
        promises.budgets_are_never_exceeded(self.model.seen, self.model.allowed)

    @invariant()
    def min_healthy_is_never_undercut(self) -> None:
        promises.min_healthy_is_never_undercut(self.model.seen, self.model.allowed)

    @invariant()
    def no_action_without_a_decision(self) -> None:
        promises.no_action_without_a_decision(self.model.seen)

    @invariant()
    def no_action_after_the_kill_switch(self) -> None:
        promises.no_action_after_the_kill_switch(self.model.seen)

    @invariant()
    def risk_over_the_limit_is_never_taken_alone(self) -> None:
        promises.risk_over_the_limit_is_never_taken_alone(self.model.seen)

    def every_run_ends_succeeded_rolled_back_or_escalated(self) -> None:
        """After any course, once nothing more befalls anybody; and until then all of the above holds."""
        self.model.drain()
        for always in (
            self.never_two_runs_on_a_component,
            self.one_lease_a_component_under_a_rising_epoch,
            self.budgets_are_never_exceeded,
            self.min_healthy_is_never_undercut,
            self.no_action_without_a_decision,
            self.no_action_after_the_kill_switch,
            self.risk_over_the_limit_is_never_taken_alone,
        ):
            always()
        self.model.check_ends()

    def teardown(self) -> None:
        try:
            self.every_run_ends_succeeded_rolled_back_or_escalated()
        finally:
            for execution in self.model.executions:
                if execution.work is not None:
                    execution.work.close()
            self.patch.undo()
            structlog.configure(**self.logging)

    def healer(self, which: int) -> Replica | None:
        awake = [one for one in self.model.replicas if one.alive and not one.frozen]
        return awake[which % len(awake)] if awake else None

    # ---- the world

    @rule(
        name=component,
        category=st.sampled_from(["crash", "overload", "memory-leak", "configuration", "disk"]),
        ends=st.sampled_from([False, False, True]),
    )
    def trouble_comes_or_goes(self, name: str, category: str, ends: bool) -> None:
        if ends == (name in self.model.incidents):
            self.model.trouble(name, category)

    @rule(
        name=component,
        status=st.sampled_from(["healthy", "warning", "critical"]),
        refuses=st.sampled_from([False, False, True]),
    )
    def health_changes(self, name: str, status: str, refuses: bool) -> None:
        """And what is acted on does as it is told, or not."""
        self.model.feels(name, status, errors=status != "healthy")
        self.model.refuses = refuses

    @rule(on=st.sampled_from([True, False, False]))
    def the_kill_switch(self, on: bool) -> None:
        self.model.switched_off = on

    @precondition(lambda self: self.model.asked)
    @rule(which=number, verb=st.sampled_from([Verb.APPROVE, Verb.APPROVE, Verb.REJECT]))
    def a_person_answers(self, which: int, verb: Verb) -> None:
        self.model.answer(which, verb)

    # ---- work goes on

    @precondition(lambda self: self.model.bus)
    @rule(which=number, healer=number, again=st.sampled_from([False, False, False, True]))
    def a_message_arrives(self, which: int, healer: int, again: bool) -> None:
        """Any of the first few: those that were sent together overtake each other."""
        replica = self.healer(healer)
        if replica is not None:
            self.model.deliver(which % min(len(self.model.bus), 4), replica, again=again)

    @rule(healer=number)
    def messages_arrive(self, healer: int) -> None:
        replica = self.healer(healer)
        for _ in range(len(self.model.bus)):
            if replica is not None and replica.alive and self.model.bus:
                self.model.deliver(0, replica, again=False)

    @rule(healer=number, seconds=st.sampled_from([0.5, 2.0, 6.0, 20.0]))
    def everybody_looks(self, healer: int, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.model.decides(self.model.decider.tick)
        replica = self.healer(healer)
        if replica is not None and replica.does(replica.handlers.start_waiting):
            replica.does(replica.handlers.finish_stranded)

    @rule(seconds=st.sampled_from([30.0, 400.0, 1_300.0]))
    def nobody_looks_for_long(self, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.model.executions)
    @rule(which=number, steps=st.integers(1, 12))
    def a_run_goes_on(self, which: int, steps: int) -> None:
        execution = self.model.executions[which % len(self.model.executions)]
        for _ in range(steps):
            if execution in self.model.executions and not execution.replica.frozen:
                self.model.advance(execution)

    @precondition(lambda self: self.model.executions)
    @rule(steps=st.integers(1, 12))
    def all_runs_go_on(self, steps: int) -> None:
        for which in range(len(self.model.executions)):
            if which < len(self.model.executions):
                self.a_run_goes_on(which, steps)

    @rule(healer=number)
    def leases_are_renewed(self, healer: int) -> None:
        replica = self.healer(healer)
        if replica is not None:
            replica.does(replica.guard.renew)

    # ---- what befalls

    @rule(which=number, what=st.sampled_from(range(10)))
    def a_mishap(self, which: int, what: int) -> None:
        mishaps: tuple[Callable[[int], None], ...] = (
            self.a_clock_is_set,
            self.a_clock_jumps,
            self.a_healer_will_die_in_a_commit,
            self.the_decider_will_die_in_a_commit,
            self.a_healer_is_killed,
            self.a_healer_starts,
            self.a_healer_is_frozen,
            self.a_healer_wakes,
            self.a_healer_takes_over,
            self.a_workflow_can_go_on_no_more,
        )
        mishaps[what](which)

    def a_clock_is_set(self, which: int) -> None:
        self.model.replicas[which % 2].skew_s = SKEW_S * (which % 5 - 2) / 2

    def a_clock_jumps(self, which: int) -> None:
        """Seldom; from then on only what needs no clocks is asked of it."""
        if which % 8 == 7:
            self.model.jumped = True
            self.model.replicas[which % 2].skew_s = (-4_000.0, -60.0, 4_000.0)[which % 3]

    def a_healer_will_die_in_a_commit(self, which: int) -> None:
        replica = self.healer(which)
        if replica is not None:
            replica.faults.next = ("before-commit", "after-commit")[which // 2 % 2]

    def the_decider_will_die_in_a_commit(self, which: int) -> None:
        self.model.faults.next = ("before-commit", "after-commit")[which % 2]

    def a_healer_is_killed(self, which: int) -> None:
        replica = self.healer(which)
        if replica is not None:
            replica.kill()

    def a_healer_starts(self, which: int) -> None:
        replica = self.model.replicas[which % 2]
        if not replica.alive:
            replica.start()

    def a_healer_is_frozen(self, which: int) -> None:
        """Not within an action: a process that is frozen there is beyond anybody."""
        replica = self.healer(which)
        mine = [one for one in self.model.executions if one.replica is replica]
        if replica is not None and all(one.where != "acting" for one in mine):
            replica.frozen = True

    def a_healer_wakes(self, which: int) -> None:
        """One that was overtaken goes on for a moment, until it notices."""
        replica = self.model.replicas[which % 2]
        if replica.alive and replica.frozen:
            replica.frozen = False
            if replica.overtaken:
                for execution in [one for one in self.model.executions if one.replica is replica]:
                    for _ in range(8):
                        if execution in self.model.executions:
                            self.model.advance(execution)
                replica.kill()

    def a_healer_takes_over(self, which: int) -> None:
        replica = self.healer(which)
        if replica is None:
            return
        for other in self.model.replicas:
            if other is not replica and (not other.alive or other.frozen):
                other.overtaken = True
                for workflow in self.model.workflows.values():
                    if workflow.executor == other.name and workflow.status == "pending":
                        replica.execute(workflow)

    @precondition(lambda self: self.model.executions)
    @rule(which=number)
    def a_healer_is_overtaken_and_wakes(self, which: int) -> None:
        if all(replica.alive and not replica.frozen for replica in self.model.replicas):
            self.a_healer_is_frozen(which)
            self.a_healer_takes_over(0)
            for execution in [one for one in self.model.executions if not one.replica.frozen]:
                for _ in range(which % 7):
                    if execution in self.model.executions:
                        self.model.advance(execution)
            self.a_healer_wakes(which)

    def a_workflow_can_go_on_no_more(self, which: int) -> None:
        if not self.model.executions:
            return
        execution = self.model.executions[which % len(self.model.executions)]
        if execution.where != "acting" and execution.number == execution.workflow.executions:
            self.model.executions.remove(execution)
            if execution.work is not None:
                execution.work.close()
            execution.workflow.status = "error"

    @precondition(lambda self: any(isinstance(event, Decision) for _, event in self.model.bus))
    @rule(which=number)
    def an_order_is_lost(self, which: int) -> None:
        """Seldom: it could not be handled, and lies among the dead letters."""
        orders = [one for one in self.model.bus if isinstance(one[1], Decision)]
        if which % 3 == 0:
            self.model.bus.remove(orders[which % len(orders)])
