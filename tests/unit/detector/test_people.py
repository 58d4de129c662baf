"""What an incident says to people: how urgent, how often before, since when, and whether it is silenced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain import storms
from services.detector.domain.priority import Standing, priority
from services.detector.domain.signals import Severity
from services.detector.domain.silences import Silence
from services.detector.domain.storms import Storm
from services.detector.domain.watch import compile_packs
from shared.packs.base import Criticality
from shared.packs.model import Pack
from shared.packs.policy import Policy
from tests.unit.detector.lines import T0, Timeline, watch

DAY = 86_400


def crash(timeline: Timeline, second: float, lasts: float = 10) -> None:
    timeline.check(second, "exited", kind="process")
    for later in (lasts, lasts + 1):
        timeline.check(second + later, "ok", kind="process")


# ---- the past


def test_how_often_the_same_was_there_before_is_told() -> None:
    timeline = Timeline()
    for day in (0, 1, 2):
        crash(timeline, day * DAY)
    opened = [incident for incident in timeline.incidents if incident.transition == "opened"]
    assert [incident.seen_before for incident in opened] == [0, 1, 2]
    assert opened[2].last_time == T0 + DAY
    assert "before" not in opened[0].summary
    assert "2 times before in 30 days" in opened[2].summary


def test_what_was_longer_ago_than_thirty_days_is_forgotten() -> None:
    timeline = Timeline()
    crash(timeline, 0)
    crash(timeline, 40 * DAY)
    assert [incident.seen_before for incident in timeline.incidents if incident.transition == "opened"] == [0, 0]


def test_another_trouble_has_a_past_of_its_own() -> None:
    timeline = Timeline()
    crash(timeline, 0)
    timeline.external(2 * DAY, True)
    assert timeline.incidents[-1].seen_before == 0


# ---- priority


def test_priority_follows_severity_criticality_and_callers() -> None:
    """Requirement B13: prioritise issues by severity."""
    components = {
        "shop": {"calls": ["web"], "criticality": "high"},
        "web": {"calls": ["db"], "criticality": "high"},
        "db": {"criticality": "high"},
        "report": {"criticality": "low"},
    }
    timeline = Timeline(watch(components=components))
    for component in ("db", "report"):
        timeline.check(0, "exited", component=component, kind="process")
    told = {incident.component: incident.priority for incident in timeline.incidents}
    assert told == {"db": "P1", "report": "P3"}


@given(st.sampled_from(list(Criticality)), st.integers(0, 50), st.booleans())
def test_worse_is_never_less_urgent(criticality: Criticality, callers: int, burning: bool) -> None:
    here = Standing(criticality, callers)
    critical = priority(Severity.CRITICAL, here, burning=burning)
    assert critical <= priority(Severity.WARNING, here, burning=burning)
    assert priority(Severity.WARNING, here, burning=True) <= priority(Severity.WARNING, here, burning=False)
    assert priority(Severity.CRITICAL, replace(here, callers=callers + 1), burning=burning) <= critical


# ---- silences and maintenance


def silenced_watch(**silence: object) -> Timeline:
    pack = Pack.model_validate({"pack": "test", "components": {"web": {"group": "front"}, "db": {}}})
    chosen = Silence("s1", T0, T0 + 100, **{"reason": "the provider moves", **silence})  # type: ignore[arg-type]
    return Timeline(compile_packs([pack], [chosen]))


@pytest.mark.parametrize(
    ("silence", "covered"),
    [
        ({}, True),
        ({"component": "web"}, True),
        ({"component": "w*"}, True),
        ({"component": "db"}, False),
        ({"pattern": "process-*"}, True),
        ({"pattern": "http-*"}, False),
        ({"labels": (("kind", "process"),)}, True),
        ({"labels": (("kind", "http"),)}, False),
        ({"starts_at": T0 + 50}, False),
    ],
)
def test_a_silence_covers_what_it_names(silence: dict[str, object], covered: bool) -> None:
    pack = Pack.model_validate({"pack": "test", "components": {"web": {}, "db": {}}})
    given = {"id": "s1", "starts_at": T0, "ends_at": T0 + 100, "reason": "moving", **silence}
    timeline = Timeline(compile_packs([pack], [Silence(**given)]))  # type: ignore[arg-type]
    timeline.check(1, "exited", kind="process")
    (opened,) = timeline.incidents
    assert bool(opened.silenced) is covered
    assert not covered or "moving" in opened.silenced


def test_when_a_silence_ends_what_is_still_wrong_is_told_anew() -> None:
    timeline = silenced_watch()
    timeline.check(1, "exited", kind="process")
    assert timeline.incidents[-1].silenced
    timeline.check(120, "exited", kind="process")
    assert timeline.incidents[-1].silenced == ""
    assert timeline.incidents[-1].revision > 1


def test_a_maintenance_window_silences_its_group_only_while_it_lasts() -> None:
    # T0 is Tuesday, 2023-11-14 22:13:20 UTC
    sections = {
        "components": {"web": {"group": "front"}, "db": {}},
        "maintenance": [{"group": "front", "when": "Tue 22:00/23:00", "reason": "patching"}],
    }
    timeline = Timeline(watch(**sections))
    for component in ("web", "db"):
        timeline.check(0, "exited", component=component, kind="process")
    assert {incident.component: bool(incident.silenced) for incident in timeline.incidents} == {
        "web": True,
        "db": False,
    }
    timeline.check(3_000, "exited", kind="process")
    assert timeline.incidents[-1].silenced == ""


def test_maintenance_that_does_not_mute_leaves_alarms_as_they_are() -> None:
    timeline = Timeline(watch(maintenance=[{"when": "Tue 22:00/23:00", "mute": False}]))
    timeline.check(0, "exited", kind="process")
    assert timeline.incidents[-1].silenced == ""


# ---- storms


def test_a_storm_begins_when_half_alarm_and_ends_when_no_wave_has_come_for_a_while() -> None:
    policy, now = Policy(storm_cool_s=120), 1_000.0
    assert storms.judge(None, 4, 9, policy, now) is None
    storm = storms.judge(None, 5, 9, policy, now)
    assert storm == Storm(now, now)
    assert storms.judge(storm, 3, 9, policy, now + 60) == Storm(now, now + 60)
    assert storms.judge(storm, 0, 9, policy, now + 119) == storm
    assert storms.judge(storm, 0, 9, policy, now + 120) is None


def test_a_few_alarms_in_a_small_pack_are_no_storm() -> None:
    assert storms.judge(None, 3, 4, Policy(), 0.0) is None


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(2, 40))
def test_storms_end(alarming: list[int], size: int) -> None:
    """Whatever came before: without new alarms the brake is let go within the cool-down."""
    policy, storm, now = Policy(storm_cool_s=60), None, 0.0
    for count in alarming:
        now += 5
        storm = storms.judge(storm, min(count, size), size, policy, now)
    for _ in range(13):
        now += 5
        storm = storms.judge(storm, 0, size, policy, now)
    assert storm is None


def test_the_name_of_an_estate_fits_into_a_subject() -> None:
    assert storms.component_of("a" * 64) == "estate-" + "a" * 57
