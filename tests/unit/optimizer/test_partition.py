"""Recommendations are sparse, follow the value in force, and are measured."""

from __future__ import annotations

from services.optimizer.domain.partition import Measured, Pace, Partition, Readings, Recommended, Watched
from services.optimizer.domain.tuning import Dial, Rules

KNOB = Watched("shop", "timeout_ms", Dial(50, 5_000, 1.5, 0.001), 400, ("payments_timeout_ms",), lambda _ratio: True)
METRIC = "upstream_request_duration_seconds"


class World:
    """A component that makes ten calls a second, nearly all of 20 to 40 ms."""

    def __init__(self, knobs: tuple[Watched, ...] = (KNOB,)) -> None:
        self.knobs = knobs
        self.partition = self.new()
        self.now_s = 0.0
        self.calls = 0.0

    def new(self) -> Partition:
        return Partition(Rules(), Pace(), 300, lambda _name: self.knobs)

    def run(self, seconds: float, value: float | None = None, metric: str = METRIC) -> list[Recommended | Measured]:
        found: list[Recommended | Measured] = []
        for _ in range(int(seconds)):
            self.now_s += 1
            self.calls += 10
            buckets = [
                (metric, (), "0.02", 0.0),
                (metric, (), "0.04", self.calls * 0.995),
                (metric, (), "0.1", self.calls),
                (metric, (), "+Inf", self.calls),
            ]
            gauges = {"payments_timeout_ms": value} if value is not None else {}
            found += self.partition.read("payments", Readings(self.now_s, buckets, gauges, ()))
        return found


def recommended(found: list[Recommended | Measured]) -> list[float]:
    return [one.tuning.recommended for one in found if isinstance(one, Recommended)]


def test_a_recommendation_is_given_once_an_hour_while_nothing_changes() -> None:
    assert recommended(World().run(3_000, value=400)) == [267]
    assert len(recommended(World().run(3_800, value=400))) == 2


def test_the_next_step_follows_when_the_first_was_taken() -> None:
    world = World()
    world.run(200, value=400)
    assert recommended(world.run(400, value=267)) == [178]


def test_without_a_gauge_the_step_is_bounded_from_the_pack_and_the_value_is_unknown() -> None:
    (only,) = [one for one in World().run(200) if isinstance(one, Recommended)]
    assert only.tuning.current is None
    assert only.tuning.recommended == 267


def test_a_component_that_makes_no_calls_is_judged_by_those_it_answers() -> None:
    (only,) = [one for one in World().run(200, 400, "http_request_duration_seconds") if isinstance(one, Recommended)]
    assert only.metric == "http_request_duration_seconds"


def test_latency_is_measured_every_other_minute() -> None:
    found = [one for one in World().run(601, value=400) if isinstance(one, Measured)]
    assert 4 <= len(found) <= 5
    assert all(one.current == 400 and 0.03 < one.p99_s < 0.05 for one in found)


def test_a_change_of_the_component_begins_a_new_measurement() -> None:
    world = World()
    world.run(20, value=400)
    world.partition.changed("payments")
    assert not world.run(25, value=400)


def test_a_component_without_knobs_is_not_kept() -> None:
    world = World()
    world.run(20)
    world.knobs = ()
    assert not world.run(1)
    assert not world.partition.dump()


def test_a_snapshot_continues_as_if_nothing_had_happened() -> None:
    straight, resumed = World(), World()
    straight.run(100, value=400)
    resumed.run(100, value=400)
    fresh = resumed.new()
    fresh.load(resumed.partition.dump())
    resumed.partition = fresh
    assert resumed.run(500, value=300) == straight.run(500, value=300)
    assert resumed.partition.dump() == straight.partition.dump()
