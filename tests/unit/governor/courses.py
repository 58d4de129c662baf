"""One course of events for each guard: with the guard it ends well, without it a promise is broken.

The state machine finds such courses by itself, in seconds to minutes; told outright they take milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.governor.machine import Life

FIRST = 0


def begins(life: Life, *components: str, category: str = "overload") -> None:
    """Trouble comes, the decider decides, and the healer hears of it: a run is begun, and nothing touched yet."""
    for name in components:
        life.trouble_comes_or_goes(name, category, ends=False)
    life.messages_arrive(FIRST)
    life.messages_arrive(FIRST)


def ends(life: Life, component: str) -> None:
    """Its run goes on to its end, which is told; then the trouble is over."""
    for _ in range(6):
        life.everybody_looks(FIRST, 2.0)
        life.all_runs_go_on(12)
        life.messages_arrive(FIRST)
    life.trouble_comes_or_goes(component, "", ends=True)
    life.messages_arrive(FIRST)


def trouble_while_switched_off(life: Life) -> None:
    life.the_kill_switch(on=True)
    begins(life, "a")


def switched_off_before_the_first_step(life: Life) -> None:
    begins(life, "a")
    life.the_kill_switch(on=True)
    life.all_runs_go_on(12)


def a_second_incident_while_the_first_is_mended(life: Life) -> None:
    begins(life, "a")
    life.all_runs_go_on(6)
    life.everybody_looks(FIRST, 6.0)
    life.trouble_comes_or_goes("a", "", ends=True)
    begins(life, "a", category="memory-leak")


def trouble_that_comes_back_four_times(life: Life) -> None:
    for _ in range(4):
        begins(life, "a")
        ends(life, "a")


def trouble_in_three_places(life: Life) -> None:
    begins(life, "a", "e", "f")
    life.all_runs_go_on(12)


def trouble_where_most_of_the_group_is_ill(life: Life) -> None:
    for name in ("b", "c", "d"):
        life.health_changes(name, "critical", refuses=False)
    begins(life, "a")


def trouble_of_two_of_a_group(life: Life) -> None:
    begins(life, "a", "b")


def a_diagnosis_that_overtakes_its_incident(life: Life) -> None:
    begins(life, "a")
    life.trouble_comes_or_goes("d", "crash", ends=False)
    life.a_message_arrives(2, FIRST, again=False)  # the incident lies on the bus for decider and healer


def trouble_that_comes_back(life: Life) -> None:
    for _ in range(2):
        begins(life, "a")
        ends(life, "a")


def a_healer_frozen_for_longer_than_its_lease(life: Life) -> None:
    begins(life, "a")
    life.a_run_goes_on(FIRST, 3)
    life.a_healer_is_frozen(FIRST)
    life.nobody_looks_for_long(1_300.0)
    life.everybody_looks(FIRST, 2.0)
    life.a_healer_wakes(FIRST)
    life.all_runs_go_on(12)


def a_frozen_healer_that_was_overtaken_wakes(life: Life) -> None:
    begins(life, "a")
    life.a_run_goes_on(FIRST, 3)
    life.a_healer_is_frozen(FIRST)
    life.a_healer_takes_over(FIRST)
    life.a_run_goes_on(1, 3)
    life.a_healer_wakes(FIRST)


def a_person_is_asked(life: Life) -> None:
    begins(life, "a", category="configuration")
    life.all_runs_go_on(12)


def a_risk_above_the_limit(life: Life) -> None:
    begins(life, "e", category="disk")
    life.all_runs_go_on(12)


def trouble_of_what_is_only_watched(life: Life) -> None:
    begins(life, "w", category="crash")
    life.all_runs_go_on(12)


def an_order_that_is_lost(life: Life) -> None:
    life.trouble_comes_or_goes("a", "overload", ends=False)
    life.messages_arrive(FIRST)
    life.an_order_is_lost(FIRST)


def a_run_that_can_not_go_on(life: Life) -> None:
    begins(life, "a")
    life.a_run_goes_on(FIRST, 2)
    life.a_workflow_can_go_on_no_more(FIRST)


def a_healer_that_dies_before_it_starts_a_run(life: Life) -> None:
    life.trouble_comes_or_goes("a", "overload", ends=False)
    life.messages_arrive(FIRST)
    life.a_healer_will_die_in_a_commit(2)
    life.messages_arrive(FIRST)


def a_run_that_goes_well(life: Life) -> None:
    begins(life, "a")
    ends(life, "a")


def a_run_that_fails(life: Life) -> None:
    life.health_changes("a", "warning", refuses=True)
    begins(life, "a")
    for _ in range(6):
        life.everybody_looks(FIRST, 0.5)
        life.all_runs_go_on(12)


def live(course: Callable[[Life], None]) -> None:
    """Goes through a course, and then to the end of all that was begun."""
    life = Life()
    try:
        course(life)
    finally:
        life.teardown()
