"""One of several siblings that differs (requirement B15)."""

from __future__ import annotations

import random

from services.detector.domain.signals import Method
from tests.unit.detector.lines import Reading, Timeline, watch


def cpu(timeline: Timeline, seconds: range, seed: int = 5, members: int = 4, **levels: float) -> None:
    noise = random.Random(seed)
    for second in seconds:
        timeline.metrics(
            second,
            *(
                Reading("cpu_percent", levels.get(f"n{n}", 30.0) + noise.gauss(0, 2), {"instance": f"n{n}"})
                for n in range(members)
            ),
        )


def test_one_that_leaves_the_others_is_told_once_it_lasts_and_ends_when_it_is_back() -> None:
    timeline = Timeline()
    timeline = Timeline(watch())
    cpu(timeline, range(60))
    cpu(timeline, range(60, 80), n2=95)
    assert timeline.incidents == []
    cpu(timeline, range(80, 130), n2=95)
    opened = timeline.incidents[0]
    assert (opened.pattern, opened.method) == ("outlier:cpu_percent", Method.ANOMALY)
    assert opened.labels["member"] == "n2"
    assert "siblings" in opened.summary
    assert opened.since is not None
    cpu(timeline, range(130, 300))
    assert timeline.transitions[-1] == "resolved"


def test_one_that_was_always_different_is_no_outlier() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(300), n0=95)
    assert timeline.incidents == []


def test_when_all_change_none_differs() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(60))
    cpu(timeline, range(60, 200), n0=90, n1=90, n2=90, n3=90)
    assert timeline.incidents == []


def test_when_half_change_it_is_not_one_that_differs() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(60), members=6)
    cpu(timeline, range(60, 200), members=6, n0=90, n1=90, n2=90)
    assert timeline.incidents == []


def test_two_have_no_majority() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(60), members=2)
    cpu(timeline, range(60, 200), members=2, n0=95)
    assert timeline.incidents == []


def test_a_burst_that_ends_by_itself_is_none() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(60))
    cpu(timeline, range(60, 70), n1=99)
    cpu(timeline, range(70, 200))
    assert timeline.incidents == []


def test_counters_are_compared_by_their_rates() -> None:
    timeline = Timeline(watch())
    counts = dict.fromkeys("abcd", 0.0)
    for second in range(200):
        for name in counts:
            counts[name] += 50 if name == "c" and second >= 60 else 5
        timeline.metrics(second, *(Reading("errors_total", n, {"pod": name}) for name, n in counts.items()))
    assert {incident.labels["member"] for incident in timeline.incidents} == {"c"}


def test_hours_of_noise_raise_nothing() -> None:
    timeline = Timeline(watch())
    cpu(timeline, range(0, 7_200, 5), seed=11, members=8)
    assert timeline.incidents == []
