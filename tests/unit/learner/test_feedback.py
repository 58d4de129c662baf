"""Whether alarms were worth having and predictions came true, without anybody's tagging."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.learner.domain.alarms import Alarm, Judged, Precision, Why, advice, judge, precision
from services.learner.domain.foresight import Came, ended_as, record, settled

PASSED = Alarm(lasted_s=40)


@pytest.mark.parametrize(
    ("alarm", "judged", "why"),
    [
        (PASSED, Judged.FALSE, Why.PASSED),
        (replace(PASSED, rejected=True), Judged.FALSE, Why.REFUSED),
        (replace(PASSED, lasted_s=4_000), Judged.UNKNOWN, Why.LASTED),
        (replace(PASSED, silenced=True, lasted_s=4_000), Judged.FALSE, Why.SILENCED),
        (replace(PASSED, budget_spent=0.02), Judged.TRUE, Why.COST),
        (replace(PASSED, tried=True), Judged.UNKNOWN, Why.TRIED),
        (replace(PASSED, tried=True, repaired=True), Judged.TRUE, Why.HEALED),
        (replace(PASSED, approved=True), Judged.TRUE, Why.APPROVED),
        (replace(PASSED, said=False), Judged.TRUE, Why.SAID),
        (replace(PASSED, silenced=True, repaired=True), Judged.TRUE, Why.HEALED),
    ],
)
def test_an_alarm_is_judged_by_what_came_of_it(alarm: Alarm, judged: Judged, why: Why) -> None:
    assert judge(alarm) == (judged, why)


def test_what_is_unknown_does_not_count() -> None:
    found = precision([Judged.TRUE] * 3 + [Judged.FALSE] + [Judged.UNKNOWN] * 10)
    assert (found.true, found.false, found.unknown, found.share) == (3, 1, 10, 0.75)
    assert found.low < 0.75 < found.high
    assert precision([Judged.UNKNOWN]).share is None


def test_advice_is_only_given_where_alarms_are_certain_to_be_useless() -> None:
    assert "18 of 20" in advice("http-slow", "payments", precision([Judged.FALSE] * 18 + [Judged.TRUE] * 2))
    assert advice("http-slow", "payments", precision([Judged.FALSE] * 4)) == ""
    assert advice("http-slow", "payments", Precision(10, 10, 0, 0.5, 0.3, 0.7)) == ""


def test_what_came_goes_before_how_the_climb_ended() -> None:
    assert settled(Came.PREVENTED, Came.UNKNOWN) is Came.PREVENTED
    assert settled(Came.PREVENTED, Came.HIT) is Came.HIT
    assert settled(Came.OPEN, Came.FALSE) is Came.FALSE
    assert settled(Came.FALSE, Came.OPEN) is Came.FALSE


def test_the_reasons_of_the_predictor_are_understood() -> None:
    assert [ended_as(one) for one in ("reached", "flat", "reset", "no-data")] == [
        Came.HIT,
        Came.FALSE,
        Came.UNKNOWN,
        Came.UNKNOWN,
    ]


def test_precision_and_recall_of_predictions() -> None:
    found = record([Came.HIT] * 2 + [Came.PREVENTED] * 6 + [Came.FALSE] * 2 + [Came.MISSED] * 2 + [Came.UNKNOWN] * 9)
    assert (found.precision, found.recall) == (0.8, 0.8)
    assert record([Came.OPEN]).precision is None
