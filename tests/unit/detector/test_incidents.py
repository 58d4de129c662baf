"""The life of an incident, told as timelines."""

from __future__ import annotations

from services.detector.domain.signals import HealthStatus
from tests.unit.detector.lines import T0, Timeline


def crash_and_recover(web: Timeline, second: float, goods: int = 2) -> None:
    web.check(second, "exited", kind="process")
    for each in range(goods):
        web.check(second + 1 + each, "ok", kind="process")


def test_repeats_are_counted_and_told_only_at_powers_of_two() -> None:
    web = Timeline()
    for second in range(0, 200, 2):
        web.check(second, "exited", kind="process")
    assert [incident.occurrences for incident in web.incidents] == [1, 2, 4, 8, 16, 32, 64]
    assert web.transitions == ["opened"] + ["evidence"] * 6


def test_coming_back_soon_reopens_the_same_incident() -> None:
    web = Timeline()
    crash_and_recover(web, 0)
    crash_and_recover(web, 60)
    assert web.transitions == ["opened", "resolved", "reopened", "resolved"]
    assert len({incident.incident_id for incident in web.incidents}) == 1
    assert [incident.revision for incident in web.incidents] == [1, 2, 3, 4]


def test_coming_back_late_is_another_incident() -> None:
    web = Timeline()
    crash_and_recover(web, 0)
    crash_and_recover(web, 300)
    assert web.transitions == ["opened", "resolved", "opened", "resolved"]
    assert len({incident.incident_id for incident in web.incidents}) == 2


def test_one_that_keeps_coming_back_is_flapping_and_must_stay_away_longer() -> None:
    web = Timeline()
    for second in (0, 20, 40):
        crash_and_recover(web, second)
    assert not web.incidents[-1].flapping
    crash_and_recover(web, 60)
    assert web.transitions[-2:] == ["reopened", "evidence"]
    assert web.incidents[-1].flapping
    assert web.incidents[-1].clearing_since is not None, "what would have resolved it is told all the same"
    for second in range(63, 69):
        web.check(second, "ok", kind="process")
    assert web.transitions[-1] == "resolved"


def test_errors_are_counted_from_when_the_trouble_began() -> None:
    web = Timeline()
    web.log(-100, "boom", "boom")
    for second in range(4):
        web.check(second, "timeout")
    assert [incident.error_count for incident in web.incidents] == [2, 3]
    assert web.healths[-1].error_count >= 4


def test_an_outside_incident_is_known_by_its_own_name_and_telling_twice_is_harmless() -> None:
    web = Timeline()
    for second, firing in enumerate([True, True, True, False, False]):
        web.external(second, firing)
    assert [t for t in web.transitions if t != "evidence"] == ["opened", "resolved"]
    web.external(5, False, external_id="never-seen")
    assert web.transitions[-1] == "resolved"


def test_an_outside_incident_that_says_how_long_it_holds_ends_when_its_source_falls_silent() -> None:
    web = Timeline()
    for second in (0, 60, 120):
        web.external(second, True, lasts_s=240)
    web.metric(359, "load", 1.0)
    assert "resolved" not in web.transitions
    web.metric(361, "load", 1.0)
    assert web.transitions[-1] == "resolved"


def test_two_outside_incidents_of_one_component_stay_apart() -> None:
    web = Timeline()
    web.external(0, True, "a")
    web.external(1, True, "b")
    web.external(2, False, "a")
    assert web.transitions == ["opened", "opened", "resolved"]
    assert web.incidents[0].incident_id == web.incidents[2].incident_id


def test_an_incident_that_opens_takes_along_what_was_lately_seen() -> None:
    web = Timeline()
    web.log(0, "503 Server Error: Service Unavailable")
    web.check(1, "exited", kind="process")
    assert {fact.name for fact in web.incidents[0].evidence} == {"web/process", "log:api_error"}


def test_what_is_seen_during_an_incident_is_evidence_for_it_at_most_once_a_second() -> None:
    web = Timeline()
    web.check(0, "exited", kind="process")
    web.log(0.1, "503 Server Error")
    web.log(0.2, "OperationalError: gone")
    assert web.transitions == ["opened"]
    web.metric(1.5, "anything", 1.0)
    assert web.transitions == ["opened", "evidence"]
    names = {fact.name for fact in web.incidents[-1].evidence}
    assert {"log:api_error", "log:database_error"} <= names


def test_nobody_looking_any_more_ends_an_incident_after_an_hour() -> None:
    web = Timeline()
    web.check(0, "exited", kind="process")
    web.metric(3_599, "anything", 1.0)
    assert "resolved" not in web.transitions
    web.metric(3_602, "anything", 1.0)
    assert web.transitions[-1] == "resolved"


def test_an_outside_incident_is_not_ended_by_silence() -> None:
    web = Timeline()
    web.external(0, True)
    web.metric(100_000, "anything", 1.0)
    assert "resolved" not in web.transitions


def test_health_follows_the_worst_open_incident() -> None:
    web = Timeline()
    web.check(0, "ok")
    for second in (1, 2):
        web.check(second, "slow")
    web.check(3, "exited", kind="process")
    for second in (4, 5):
        web.check(second, "ok", kind="process")
    for second in (6, 7):
        web.check(second, "ok")
    statuses = [health.status for health in web.healths]
    assert statuses == [
        HealthStatus.HEALTHY,
        HealthStatus.WARNING,
        HealthStatus.CRITICAL,
        HealthStatus.WARNING,
        HealthStatus.HEALTHY,
    ]
    assert web.healths[-1].open_incidents == ()
    assert web.healths[1].since == T0 + 2


def test_a_growing_error_count_is_told_at_most_once_a_second_and_to_the_end() -> None:
    web = Timeline()
    for tenth in range(20):
        web.log(tenth / 10, "boom")
    assert len(web.healths) == 2
    web.metric(4, "anything", 1.0, component="db")
    assert [told.error_count for told in web.healths if told.component == "web"][-1] == 20


def test_a_dead_process_explains_that_nobody_answers() -> None:
    web = Timeline()
    web.check(0, "exited", kind="process")
    for second in range(1, 6):
        web.check(second, "refused")
        web.check(second, "refused", kind="scrape")
    assert {told.pattern for told in web.incidents} == {"process-exited"}
    assert {"web/http", "web/scrape"} <= {fact.name for fact in web.incidents[-1].evidence}


def test_what_goes_on_failing_when_its_explanation_has_gone_is_an_incident() -> None:
    web = Timeline()
    web.check(0, "exited", kind="process")
    for second in range(1, 4):
        web.check(second, "error")
    for second in (4, 5):
        web.check(second, "ok", kind="process")
    web.check(6, "error")
    assert [told.pattern for told in web.incidents if told.transition == "opened"] == ["process-exited", "http-error"]


def test_another_components_failure_is_never_explained_away() -> None:
    both = Timeline()
    both.check(0, "exited", kind="process")
    for second in (1, 2):
        both.check(second, "timeout", component="db", kind="tcp")
    assert [told.component for told in both.incidents if told.transition == "opened"] == ["web", "db"]
