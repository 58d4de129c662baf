"""What a component's log tells beyond known kinds of error: patterns, news and the lines around an error."""

from __future__ import annotations

import pytest

from services.detector.domain.signals import PatternsSeen, SeenPattern, Severity
from services.detector.domain.templates.categories import category
from services.detector.domain.templates.rates import Rate
from tests.unit.detector.lines import Timeline


def told(timeline: Timeline) -> dict[str, SeenPattern]:
    """Newest state of each pattern by its words."""
    seen: dict[int, SeenPattern] = {}
    for effect in timeline.told:
        if isinstance(effect, PatternsSeen):
            seen |= {each.id: each for each in effect.patterns}
            for id_ in effect.gone:
                seen.pop(id_, None)
    return {each.words: each for each in seen.values()}


def evidence(timeline: Timeline) -> dict[str, str]:
    """Facts remembered of `web`, for incidents to come."""
    return {fact.name: str(fact.observed) for fact in timeline.fold._tracks["web"].kept.recent}


def test_recurring_lines_are_one_pattern_with_count_and_example() -> None:
    web = Timeline()
    for second in range(0, 40, 2):
        web.log(second, f"took {second} ms", level="info")
    pattern = told(web)["took <*>"]
    assert (pattern.count, pattern.errors, pattern.severity) == (16, 0, None)
    assert pattern.example == "took 30 ms"


def test_an_error_keeps_the_lines_around_it() -> None:
    web = Timeline()
    web.log(0, "one", "two", "three", "four", level="info")
    web.log(1, "no space left on device")
    web.log(2, "five", "six", "seven", "eight", level="info")
    web.log(20, "on", level="info")
    pattern = told(web)["no space left on device"]
    assert (pattern.before, pattern.after) == (("two", "three", "four"), ("five", "six", "seven"))
    assert (pattern.category, pattern.severity) == ("disk", Severity.CRITICAL)


def test_an_error_that_repeats_itself_keeps_what_came_before_the_first() -> None:
    web = Timeline()
    web.log(0, "charging order 7", level="info")
    web.log(1, *[f"dial tcp 10.0.0.{n}:80: connection refused" for n in range(9)])
    web.log(20, "on", level="info")
    assert told(web)["dial tcp <*> : connection refused"].before == ("charging order 7",)


def test_an_error_never_seen_before_is_news_once_the_component_is_known() -> None:
    web = Timeline()
    web.log(0, "strange thing")
    assert not any(name.startswith("log-new") for name in evidence(web))
    for second in range(0, 600, 2):
        web.log(second, f"handled request {second}", level="info")
    web.log(601, "lock file is stale")
    assert evidence(web)["log-new:unknown"] == "lock file is stale"
    assert web.incidents == []


def test_an_error_of_no_known_kind_is_evidence_by_category_and_no_incident() -> None:
    web = Timeline()
    web.log(0, *["dial tcp 10.0.0.3:5432: connection refused"] * 20)
    assert evidence(web)["log-error:network"].startswith("20 so far: dial tcp")
    assert web.incidents == []


def test_a_burst_is_told_once_a_minute_and_a_steady_rate_never() -> None:
    rate = Rate()
    steady = [rate.add(60.0 * minute + second) for minute in range(1, 31) for second in range(0, 60, 6)]
    assert not any(steady)
    assert sum(rate.add(60.0 * 31 + second / 10) for second in range(200)) == 1


def test_lines_that_came_regularly_and_stop_are_told_once() -> None:
    rate = Rate()
    for second in range(60, 60 * 30, 10):
        rate.add(float(second))
    assert [rate.gone_quiet(60.0 * 30 + second) for second in (10, 200, 400, 500)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HTTP 429 from upstream", "rate-limit"),
        ("401 Unauthorized", "authentication"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("write failed: No space left on device", "disk"),
        ("deadlock detected", "database"),
        ("context deadline exceeded", "timeout"),
        ("read: connection reset by peer", "network"),
        ("missing environment variable PORT", "configuration"),
        ("503 Service Unavailable", "api"),
        ("thread panicked: index out of range", "code"),
        ("all odd", "unknown"),
    ],
)
def test_errors_are_sorted_by_what_they_are_about(line: str, expected: str) -> None:
    assert category(line) == expected


def test_a_restored_log_book_tells_the_same() -> None:
    whole = Timeline()
    for second in range(0, 60, 3):
        whole.log(second, f"order {second} of user u{second} lost", f"user name{second} out", level="warning")
    restored = Timeline()
    restored.fold.restore(whole.fold.snapshot())
    assert restored.fold.snapshot() == whole.fold.snapshot()
    before = len(whole.told)
    for timeline in (whole, restored):
        timeline.log(80, "user zoe out", "fresh words here")
    assert restored.told == whole.told[before:]
