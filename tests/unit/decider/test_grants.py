"""Over any course of events: never two runs on one component, never more than the budget, never too many at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.decider.domain import Case, CaseKind, Cause, Inputs, Ledger, Target, Verdict, decide
from shared.packs import Category, Component, Mode, Policy
from tests.unit.decider.scenes import NOW, RESTART, playbooks

COMPONENTS = ("a", "b", "c", "d")
COOLDOWN_S = 120.0
POLICY = Policy(actions_per_hour=5, max_targets_at_once=2)
BOOKS = playbooks(restart=RESTART | {"cooldown_s": COOLDOWN_S})


class Pack(RuleBasedStateMachine):
    """A pack whose cases come, run and end in any order; the ledger is kept as the store keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.number = 0
        self.granted: list[tuple[str, datetime]] = []
        self.running: list[str] = []
        self.ended: dict[str, datetime] = {}

    @rule(component=st.sampled_from(COMPONENTS), confidence=st.floats(0.8, 1.0))
    def a_case_comes(self, component: str, confidence: float) -> None:
        self.number += 1
        case = Case(
            id=UUID(int=self.number),
            kind=CaseKind.INCIDENT,
            component=component,
            opened_at=self.now,
            causes=(Cause(component, Category.CRASH, confidence, "crash:x"),),
        )
        ruling = decide(Inputs(now=self.now, case=case, targets={component: self._target(component)}))
        if ruling.verdict is Verdict.EXECUTE:
            assert component not in self.ended or self.now >= self.ended[component] + timedelta(seconds=COOLDOWN_S)
            self.granted.append((component, self.now))
            self.running.append(component)

    @rule(position=st.integers(0, 3))
    def a_run_ends(self, position: int) -> None:
        if self.running:
            component = self.running.pop(position % len(self.running))
            self.ended[component] = self.now

    @rule(seconds=st.integers(1, 1_800))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def one_run_a_component(self) -> None:
        assert len(self.running) == len(set(self.running))

    @invariant()
    def not_too_many_at_once(self) -> None:
        assert len(self.running) <= POLICY.max_targets_at_once

    @invariant()
    def the_budget_holds(self) -> None:
        assert self._granted_last_hour() <= POLICY.actions_per_hour

    def _granted_last_hour(self) -> int:
        return sum(at > self.now - timedelta(hours=1) for _, at in self.granted)

    def _target(self, component: str) -> Target:
        until = self.ended.get(component, NOW - timedelta(days=1)) + timedelta(seconds=COOLDOWN_S)
        return Target(
            name=component,
            pack="shop",
            pack_version=1,
            mode=Mode.AUTO,
            component=Component(),
            policy=POLICY,
            playbooks=BOOKS,
            others=3,
            ledger=Ledger(
                granted_last_hour=self._granted_last_hour(),
                busy_targets=tuple(self.running),
                cooling_until={"restart": until},
            ),
        )


TestPack = Pack.TestCase
TestPack.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
