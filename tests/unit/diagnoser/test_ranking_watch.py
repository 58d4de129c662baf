"""A partition's memories: what of a stream of readings is told, and that a restart forgets little."""

from __future__ import annotations

from collections.abc import Iterable

from services.diagnoser.domain.ranking.watch import COMPONENTS_MOST, SERIES_MOST, Labels, Reading, Told, Watch
from services.diagnoser.handlers.telemetry import decode, encode

T0 = 1_700_000_000.0


def fed(watch: Watch, seconds: Iterable[int], component: str = "orders", **levels: float) -> list[Told]:
    """One batch a second of gauges with a little noise."""
    told = []
    for second in seconds:
        readings = [Reading(name, (), level * (1 + 0.01 * (second % 5)), T0 + second) for name, level in levels.items()]
        one = watch.readings(component, readings)
        if one is not None:
            told.append(one)
    return told


def deviating(told: Iterable[Told]) -> list[Told]:
    return [one for one in told if one.seen.deviations]


def test_a_steady_component_tells_its_usual_levels_now_and_then_and_nothing_else() -> None:
    told = fed(Watch(), range(900), cpu_percent=20.0, resident_memory_bytes=1e8)
    assert deviating(told) == []
    assert 2 <= len(told) <= 4
    assert told[-1].seen.levels["resident_memory_bytes"] > 0.9e8


def test_a_shift_is_told_within_seconds_with_the_time_at_which_it_began() -> None:
    watch = Watch()
    fed(watch, range(300), cpu_percent=20.0)
    (first, *_) = deviating(fed(watch, range(300, 330), cpu_percent=90.0))
    assert first.at_s <= T0 + 305
    (deviation,) = first.seen.deviations
    assert deviation.onset_s == T0 + 300
    assert deviation.score > 0


def test_the_onset_stays_while_the_trouble_lasts_and_its_end_is_told() -> None:
    watch = Watch()
    fed(watch, range(300), cpu_percent=20.0)
    bad = deviating(fed(watch, range(300, 700), cpu_percent=90.0))
    assert {one.noticed_s for one in bad} == {T0 + 300}
    assert abs(bad[-1].seen.deviations[0].onset_s - (T0 + 300)) <= 15  # older readings are thinned out
    after = fed(watch, range(700, 1_200), cpu_percent=20.0)
    assert after[-1].seen.deviations == ()


def counted(watch: Watch, seconds: Iterable[int], per_s: float, failed_per_s: float, total: list[float]) -> list[Told]:
    ok: Labels = (("status", "200"),)
    bad: Labels = (("status", "503"),)
    told = []
    for second in seconds:
        total[0] += per_s - failed_per_s
        total[1] += failed_per_s
        readings = [
            Reading("http_requests_total", ok, total[0], T0 + second),
            Reading("http_requests_total", bad, total[1], T0 + second),
        ]
        one = watch.readings("orders", readings)
        if one is not None:
            told.append(one)
    return told


def test_counters_become_rates_and_failed_calls_a_share() -> None:
    watch, total = Watch(), [0.0, 0.0]
    counted(watch, range(300), 100, 0, total)
    found = deviating(counted(watch, range(300, 330), 100, 20, total))[-1].seen.deviations
    assert [one.metric for one in found] == ["http_requests_total_error_ratio"]
    assert abs(found[0].after - 0.2) < 1e-6
    assert found[0].calls is not None
    assert abs(found[0].calls - 100) < 1


def test_a_counter_that_begins_anew_is_no_shift() -> None:
    watch, total = Watch(), [0.0, 0.0]
    counted(watch, range(300), 100, 0, total)
    total[:] = [0.0, 0.0]
    assert deviating(counted(watch, range(300, 330), 100, 0, total)) == []


def test_what_is_remembered_is_bounded() -> None:
    watch = Watch()
    for number in range(COMPONENTS_MOST + 50):
        readings = [Reading(f"m{series}", (), 1.0, T0) for series in range(SERIES_MOST + 20)]
        watch.readings(f"c{number}", readings)
    state = watch.dump()
    assert len(state) == COMPONENTS_MOST
    assert {len(one.series) for one in state.values()} == {SERIES_MOST}


def test_after_a_restart_a_shift_is_still_told() -> None:
    before = Watch()
    fed(before, range(300), cpu_percent=20.0)
    after = Watch()
    after.load(decode(encode(before.dump())))
    (first, *_) = deviating(fed(after, range(300, 330), cpu_percent=90.0))
    assert first.seen.deviations[0].onset_s == T0 + 300


def test_the_same_readings_give_the_same_words() -> None:
    assert fed(Watch(), range(400), cpu_percent=20.0) == fed(Watch(), range(400), cpu_percent=20.0)
