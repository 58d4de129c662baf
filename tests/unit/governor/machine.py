"""Whatever happens, in any order: what a Hypothesis state machine does to the model."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shared.contracts.decider import Decision, Verb
from tests.unit.governor.model import COMPONENTS, GROUP, Model, Replica

SKEW_S = 2.0
"""As far as each healer's clock may be off; the healer allows for more."""
which = st.integers(0, 1_000)
component = st.sampled_from(COMPONENTS)


class Life(RuleBasedStateMachine):
    """Incidents, people, crashes, pauses, clocks and messages, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.model = Model()
        self.model.install(self.patch)

    def teardown(self) -> None:
        try:
            self.model.drain()
        finally:
            for execution in self.model.executions:
                if execution.work is not None:
                    execution.work.close()
            self.patch.undo()

    def healer(self, number: int) -> Replica | None:
        awake = [one for one in self.model.replicas if one.alive and not one.frozen]
        return awake[number % len(awake)] if awake else None

    # ---- the world

    @rule(name=component, category=st.sampled_from(["crash", "overload", "memory-leak", "configuration"]))
    def trouble_comes_or_goes(self, name: str, category: str) -> None:
        self.model.trouble(name, category)

    @rule(name=st.sampled_from(GROUP), status=st.sampled_from(["healthy", "warning", "critical"]))
    def health_changes(self, name: str, status: str) -> None:
        self.model.feels(name, status, errors=status != "healthy")

    @rule()
    def things_begin_or_cease_to_act_up(self) -> None:
        self.model.refuses = not self.model.refuses

    @rule(on=st.sampled_from([True, False, False]))
    def the_kill_switch(self, on: bool) -> None:
        self.model.switched_off = on

    @precondition(lambda self: self.model.asked)
    @rule(number=which, verb=st.sampled_from([Verb.APPROVE, Verb.APPROVE, Verb.REJECT]))
    def a_person_answers(self, number: int, verb: Verb) -> None:
        self.model.answer(number, verb)

    # ---- time

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 20.0, 400.0, 1_300.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.now += timedelta(seconds=seconds)

    @rule(number=which, seconds=st.floats(-SKEW_S, SKEW_S))
    def a_clock_is_set(self, number: int, seconds: float) -> None:
        self.model.replicas[number % 2].skew_s = seconds

    @precondition(lambda self: not self.model.jumped)
    @rule(seconds=st.sampled_from([-4_000.0, -60.0, 4_000.0]), number=st.integers(0, 30))
    def a_clock_jumps(self, seconds: float, number: int) -> None:
        """Seldom; from then on only what needs no clocks is asked of it."""
        if number == 0:
            self.model.jumped = True
            self.model.replicas[0].skew_s = seconds

    # ---- work goes on

    @precondition(lambda self: self.model.bus)
    @rule(number=which, healer=which, again=st.sampled_from([False, False, False, True]))
    def a_message_arrives(self, number: int, healer: int, again: bool) -> None:
        """Any of the first few: those that were sent together overtake each other."""
        replica = self.healer(healer)
        if replica is not None:
            self.model.deliver(number % min(len(self.model.bus), 4), replica, again=again)

    @rule()
    def messages_arrive(self) -> None:
        replica = self.healer(0)
        for _ in range(len(self.model.bus)):
            if replica is not None and replica.alive and self.model.bus:
                self.model.deliver(0, replica, again=False)

    @rule()
    def the_decider_looks(self) -> None:
        self.model.decides(self.model.decider.tick)

    @rule(healer=which)
    def a_healer_looks(self, healer: int) -> None:
        replica = self.healer(healer)
        if replica is not None and replica.does(replica.handlers.start_waiting):
            replica.does(replica.handlers.finish_stranded)

    @rule(healer=which)
    def leases_are_renewed(self, healer: int) -> None:
        replica = self.healer(healer)
        if replica is not None:
            replica.does(replica.guard.renew)

    @precondition(lambda self: self.model.executions)
    @rule(number=which, steps=st.integers(1, 8))
    def a_run_goes_on(self, number: int, steps: int) -> None:
        execution = self.model.executions[number % len(self.model.executions)]
        for _ in range(steps):
            if execution in self.model.executions and not execution.replica.frozen:
                self.model.advance(execution)

    # ---- what befalls processes

    @rule(healer=which, moment=st.sampled_from(["before-commit", "after-commit"]))
    def a_healer_will_die_in_a_commit(self, healer: int, moment: str) -> None:
        replica = self.healer(healer)
        if replica is not None:
            replica.faults.next = moment

    @rule(moment=st.sampled_from(["before-commit", "after-commit"]))
    def the_decider_will_die_in_a_commit(self, moment: str) -> None:
        self.model.faults.next = moment

    @rule(healer=which)
    def a_healer_is_killed(self, healer: int) -> None:
        replica = self.healer(healer)
        if replica is not None:
            replica.kill()

    @rule(number=which)
    def a_healer_starts(self, number: int) -> None:
        replica = self.model.replicas[number % 2]
        if not replica.alive:
            replica.start()

    @rule(healer=which)
    def a_healer_is_frozen(self, healer: int) -> None:
        """Not within an action: a process that is frozen there is beyond anybody."""
        replica = self.healer(healer)
        mine = [one for one in self.model.executions if one.replica is replica]
        if replica is not None and all(one.where != "acting" for one in mine):
            replica.frozen = True

    @rule(number=which)
    def a_healer_wakes(self, number: int) -> None:
        """One that was overtaken goes on for a moment, until it notices."""
        replica = self.model.replicas[number % 2]
        if replica.alive and replica.frozen:
            replica.frozen = False
            if replica.overtaken:
                for execution in [one for one in self.model.executions if one.replica is replica]:
                    for _ in range(6):
                        if execution in self.model.executions:
                            self.model.advance(execution)
                replica.kill()

    @rule(healer=which)
    def a_healer_takes_over(self, healer: int) -> None:
        replica = self.healer(healer)
        if replica is None:
            return
        for other in self.model.replicas:
            if other is not replica and (not other.alive or other.frozen):
                other.overtaken = True
                for workflow in self.model.workflows.values():
                    if workflow.executor == other.name and workflow.status == "pending":
                        replica.execute(workflow)

    @precondition(lambda self: self.model.executions)
    @rule(number=which)
    def a_workflow_can_go_on_no_more(self, number: int) -> None:
        execution = self.model.executions[number % len(self.model.executions)]
        if execution.where != "acting" and execution.number == execution.workflow.executions:
            self.model.executions.remove(execution)
            if execution.work is not None:
                execution.work.close()
            execution.workflow.status = "error"

    @rule(number=which)
    def an_order_is_lost(self, number: int) -> None:
        """It could not be handled, and lies among the dead letters."""
        orders = [one for one in self.model.bus if isinstance(one[1], Decision)]
        if orders:
            self.model.bus.remove(orders[number % len(orders)])
