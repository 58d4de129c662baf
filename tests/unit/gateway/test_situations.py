"""Incidents put together for people, and two independent failures never so (requirement B29).

edge → orders → payments → provider; edge → catalog; report stands alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.situations import Seen, situations

CALLS = {"edge": ["orders", "catalog"], "orders": ["payments"], "payments": ["provider"]}
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)


def seen(component: str, pattern: str, second: float = 0, **more: object) -> Seen:
    id_ = str(more.pop("id", f"{component}/{pattern}"))
    return Seen(id_, component, pattern, T0 + timedelta(seconds=second), **more)  # type: ignore[arg-type]


def grouped(*all_seen: Seen) -> list[set[str]]:
    return [set(one.members) for one in situations(all_seen, lambda name: CALLS.get(name, []))]


def test_symptoms_stand_under_the_failure_that_their_calls_lead_to() -> None:
    found = situations(
        [
            seen("edge", "error-ratio", 4),
            seen("orders", "http-timeout", 3),
            seen("payments", "process-exited", 1),
        ],
        lambda name: CALLS.get(name, []),
    )
    assert [one.members for one in found] == [
        ("payments/process-exited", "orders/http-timeout", "edge/error-ratio"),
    ]


def test_two_components_that_fail_by_themselves_are_two_situations_though_one_calls_the_other() -> None:
    assert len(grouped(seen("orders", "process-exited", 0), seen("payments", "process-exited", 1))) == 2


def test_what_two_failures_bring_about_together_does_not_make_them_one() -> None:
    found = grouped(
        seen("catalog", "process-exited", 0), seen("payments", "disk-high", 1), seen("edge", "error-ratio", 2)
    )
    assert len(found) == 2
    assert not any({"catalog/process-exited", "payments/disk-high"} <= members for members in found)


def test_troubles_that_nothing_connects_stay_apart() -> None:
    assert len(grouped(seen("report", "error-ratio", 0), seen("payments", "error-ratio", 0))) == 2


def test_what_began_minutes_apart_has_nothing_to_do_with_each_other() -> None:
    assert len(grouped(seen("payments", "http-timeout", 0), seen("edge", "error-ratio", 90))) == 2


def test_what_was_over_before_is_no_cause() -> None:
    over = seen("payments", "http-timeout", 0, resolved_at=T0 + timedelta(seconds=10))
    assert len(grouped(over, seen("edge", "error-ratio", 40))) == 2


def test_the_diagnosers_word_goes_before() -> None:
    late = seen("report", "error-ratio", 300, symptom_of="payments/process-exited")
    assert len(grouped(seen("payments", "process-exited", 0), late)) == 1


def test_several_of_one_component_are_one_situation() -> None:
    assert (
        len(grouped(seen("edge", "http-refused", 1), seen("edge", "process-exited", 0), seen("edge", "log:odd", 3)))
        == 1
    )


def test_replicas_with_the_same_symptom_at_once_have_one_cause() -> None:
    replicas = [seen(f"web-{n}", "error-ratio", n, group="web") for n in range(3)]
    assert len(grouped(*replicas)) == 1
    assert len(grouped(*replicas[:2])) == 2, "two may be chance"


def test_replicas_that_crash_at_once_may_do_so_for_different_reasons() -> None:
    assert len(grouped(*(seen(f"web-{n}", "process-exited", n, group="web") for n in range(3)))) == 3


def test_in_a_storm_everything_is_one_situation() -> None:
    components = ("a", "b", "c", "d", "e")
    storm = seen("estate-shop", "storm", 10, storm_of=components)
    assert len(grouped(storm, *(seen(name, "process-exited", n) for n, name in enumerate(components)))) == 1
    later = seen("a", "process-exited", 900, id="later")
    assert len(grouped(seen("estate-shop", "storm", 10, storm_of=components, resolved_at=T0), later)) == 2


COMPONENTS = st.sampled_from(["edge", "orders", "payments", "provider", "catalog", "report"])
PATTERNS = st.sampled_from(["process-exited", "error-ratio", "http-timeout", "disk-high", "log:api_error"])
STORY = st.lists(st.tuples(COMPONENTS, PATTERNS, st.integers(0, 200)), max_size=25)


@given(STORY)
def test_every_incident_is_in_one_situation_and_no_two_own_failures_of_two_components_are(story) -> None:  # type: ignore[no-untyped-def]
    everything = [seen(c, p, at, id=f"i{n}") for n, (c, p, at) in enumerate(story)]
    found = situations(everything, lambda name: CALLS.get(name, []))
    members = [name for one in found for name in one.members]
    assert sorted(members) == sorted(each.id for each in everything)
    by_id = {each.id: each for each in everything}
    for one in found:
        own = {by_id[name].component for name in one.members if by_id[name].is_of_itself}
        assert len(own) <= 1


@given(STORY)
def test_the_order_in_which_they_are_heard_does_not_matter(story) -> None:  # type: ignore[no-untyped-def]
    everything = [seen(c, p, at, id=f"i{n:02}") for n, (c, p, at) in enumerate(story)]
    assert grouped(*everything) == grouped(*reversed(everything))
