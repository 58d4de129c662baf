"""Who deviated first and most, told as the troubles of a small shop; and what holds of every series."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.diagnoser.domain import CallGraph
from services.diagnoser.domain.ranking import (
    FAILURES,
    Because,
    Kind,
    Ranking,
    SeriesMemory,
    Trouble,
    kind_of,
    look_at,
    rank,
)

T0 = 1_700_000_000.0
NOTICED = T0 + 600
SHOP = CallGraph({"edge": ("orders", "catalog"), "orders": ("payments",), "catalog": ("catalog-db",)})
SLOW = frozenset({Kind.LATENCY})

type Value = Callable[[float], float]


def steady(level: float) -> Value:
    """A level with 2 % of noise, the same each time."""
    return lambda s: level * (1 + 0.02 * float(np.sin(s * 12.9898) * np.cos(s * 78.233)))


def stepping(before: float, after: float, at_s: float, until_s: float = 1e9) -> Value:
    calm, bad = steady(before), steady(after)
    return lambda s: bad(s) if at_s <= s - T0 < until_s else calm(s)


def memory(value: Value, every_s: float = 5.0, until_s: float = 660.0) -> SeriesMemory:
    found = SeriesMemory()
    for at in np.arange(T0, T0 + until_s, every_s):
        found.add(float(at), value(float(at)))
    return found


def concluded(
    series: Mapping[str, Value], graph: CallGraph = SHOP, trouble: Trouble | None = None, noticed_s: float = NOTICED
) -> Ranking:
    """`series`: by `component/metric`."""
    components: dict[str, dict[str, SeriesMemory]] = {}
    for name, value in series.items():
        component, metric = name.split("/")
        components.setdefault(component, {})[metric] = memory(value)
    seen = [look_at(name, memories, noticed_s) for name, memories in components.items()]
    return rank(seen, graph, trouble or Trouble("edge"))


def names(ranking: Ranking) -> list[str]:
    return [one.component for one in ranking.suspects]


# ---- along the graph


def test_a_caller_that_only_waits_for_its_callee_is_no_suspect() -> None:
    ranking = concluded(
        {
            "edge/latency_mean": stepping(0.1, 0.5, 580),
            "orders/latency_mean": stepping(0.05, 0.45, 580),
            "payments/latency_mean": stepping(0.02, 0.42, 575),
            "catalog/latency_mean": steady(0.03),
        }
    )
    assert names(ranking) == ["payments"]
    assert ranking.because is Because.OWN_PART


def test_a_component_slow_by_itself_stays_a_suspect_beside_a_slower_neighbour() -> None:
    ranking = concluded(
        {
            "edge/latency_mean": stepping(0.1, 0.6, 580),
            "orders/latency_mean": stepping(0.05, 0.45, 580),
            "payments/latency_mean": stepping(0.02, 0.12, 580),
        }
    )
    assert names(ranking)[0] == "orders"


def test_time_lost_counts_by_the_number_of_calls() -> None:
    ranking = concluded(
        {
            "edge/latency_mean": stepping(0.1, 0.14, 580),
            "edge/requests": steady(100),
            "orders/latency_mean": stepping(0.1, 0.5, 580),
            "orders/requests": steady(10),
        }
    )
    assert names(ranking) == ["orders"]


def test_failures_are_followed_in_percent_and_in_shares_alike() -> None:
    ranking = concluded(
        {
            "edge/availability": lambda s: 99.9 if s - T0 < 580 else 96.0,
            "orders/error_ratio": lambda s: 0.001 if s - T0 < 580 else 0.04,
            "catalog/latency_mean": stepping(0.1, 5.0, 580),
        },
        trouble=Trouble("edge", FAILURES),
    )
    assert names(ranking) == ["orders"]


def test_percentiles_are_not_subtracted_from_means() -> None:
    ranking = concluded(
        {"edge/latency_p99": stepping(0.5, 3.0, 580), "payments/latency_mean": stepping(0.02, 0.3, 580)},
        trouble=Trouble("edge", SLOW),
    )
    assert names(ranking)[0] == "payments"


def test_a_slow_callee_that_nobody_waits_for_is_not_the_root() -> None:
    ranking = concluded(
        {
            "edge/latency_mean": stepping(0.1, 0.3, 580),
            "orders/latency_mean": stepping(0.05, 0.25, 580),
            "catalog/latency_mean": steady(0.03),
            "catalog-db/latency_mean": stepping(0.02, 0.5, 580),
        }
    )
    assert names(ranking)[0] == "orders"


def test_trouble_elsewhere_is_left_out_when_the_graph_is_known() -> None:
    ranking = concluded({"edge/latency_mean": steady(0.1), "mail/latency_mean": stepping(0.1, 9.0, 580)})
    assert ranking.because is Because.NOTHING_DEVIATES


def test_nothing_is_made_of_a_far_callee_when_the_component_asked_about_feels_nothing() -> None:
    series = {
        "edge/latency_mean": steady(0.1),
        "catalog/latency_mean": steady(0.1),
        "catalog-db/latency_mean": stepping(0.02, 0.4, 580),
    }
    assert concluded(series, trouble=Trouble("edge", SLOW)).suspects == ()


def test_a_circle_of_calls_ends() -> None:
    ring = CallGraph({"a": ("b",), "b": ("a",)})
    ranking = concluded(
        {"a/latency_mean": stepping(0.1, 0.5, 580), "b/latency_mean": stepping(0.1, 0.9, 580)}, ring, Trouble("a")
    )
    assert names(ranking)[0] == "b"


# ---- without a graph


def test_without_a_graph_the_resource_that_moved_most_is_first() -> None:
    ranking = concluded(
        {
            "orders/cpu": stepping(1.0, 80.0, 580),
            "edge/latency_p99": stepping(0.1, 1.0, 590),
            "catalog/memory": stepping(1e8, 1.3e8, 590),
        },
        CallGraph(),
        Trouble(),
    )
    assert names(ranking)[0] == "orders"
    assert ranking.because is Because.SIZE
    assert ranking.suspects[0].words == "orders's cpu rose 80× at 22:23:00, 10 s before anybody else"


def test_memory_explains_the_cpu_it_costs_but_a_little_memory_does_not() -> None:
    much = {"a/cpu": stepping(1, 90, 580), "a/memory": stepping(1e8, 4e8, 580), "b/memory": steady(1e9)}
    little = {"a/cpu": stepping(1, 90, 580), "a/memory": stepping(1e6, 2e6, 580), "b/memory": steady(1e9)}
    assert concluded(much, CallGraph(), Trouble()).series[0].metric == "memory"
    assert concluded(little, CallGraph(), Trouble()).series[0].metric == "cpu"


def test_a_trouble_that_was_over_before_yields_to_the_one_under_way() -> None:
    ranking = concluded(
        {"old/cpu": stepping(1, 70, 450, 575), "new/memory": stepping(1e7, 2e8, 580)}, CallGraph(), Trouble()
    )
    assert names(ranking)[0] == "new"


@pytest.mark.parametrize("late_s", [0, 30, 60])
def test_late_detection_moves_neither_the_onset_nor_the_root(late_s: float) -> None:
    series = {"orders/cpu": stepping(1, 50, 580), "edge/latency_mean": stepping(0.1, 0.4, 595)}
    ranking = concluded(series, CallGraph(), Trouble(), noticed_s=T0 + 580 + late_s)
    assert (names(ranking)[0], ranking.suspects[0].onset_s) == ("orders", T0 + 580)


def test_nothing_deviates_in_quiet_series() -> None:
    ranking = concluded({"edge/latency_mean": steady(0.1), "orders/cpu": steady(20)}, CallGraph(), Trouble())
    assert (ranking.because, ranking.suspects) == (Because.NOTHING_DEVIATES, ())


def test_one_odd_reading_a_few_seconds_long_is_no_deviation() -> None:
    series = {"orders/cpu": stepping(1, 90, 580, 583)}
    assert concluded(series, CallGraph(), Trouble()).suspects == ()


# ---- series


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("process_cpu_seconds_total", Kind.CPU),
        ("resident_memory_bytes", Kind.MEMORY),
        ("http_request_duration_seconds", Kind.LATENCY),
        ("http_requests_total", Kind.LOAD),
        ("http_errors_total", Kind.ERRORS),
        ("availability_average", Kind.SUCCESS),
        ("pg_connections", Kind.RESOURCE),
        ("basket_value", Kind.OTHER),
    ],
)
def test_a_name_tells_what_is_measured(metric: str, kind: Kind) -> None:
    assert kind_of(metric) is kind


readings = st.lists(
    st.tuples(st.floats(0.0, 500.0), st.floats(allow_nan=True, allow_infinity=True, width=32)), max_size=600
)


@settings(max_examples=50, deadline=None)
@given(readings)
def test_memory_is_bounded_and_in_order_whatever_comes(steps: list[tuple[float, float]]) -> None:
    found, at_s = SeriesMemory(), T0
    for step_s, value in steps:
        at_s += step_s - 20.0
        found.add(at_s, value)
    times, values = found.readings()
    assert len(times) == len(values) <= 210
    assert (np.diff(times) > 0).all()
    assert np.isfinite(values).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=20, max_size=300), st.floats(0.0, 1_500.0))
def test_looking_never_fails_and_an_episode_lies_in_what_was_read(values: list[float], noticed_s: float) -> None:
    found = SeriesMemory()
    for index, value in enumerate(values):
        found.add(T0 + 5.0 * index, value)
    for one in look_at("a", {"queue": found}, T0 + noticed_s).deviations:
        assert T0 <= one.onset_s <= one.until_s <= found.last_s
        assert one.lost >= 0


def test_what_a_snapshot_keeps_of_a_memory_is_readings_it_had() -> None:
    full = memory(steady(5.0), every_s=1.0)
    kept = SeriesMemory.loaded(full.dump(48))
    times, values = kept.readings()
    assert len(times) == 48
    assert set(zip(times, values, strict=True)) <= set(zip(*full.readings(), strict=True))
    assert kept.last_s == full.last_s
