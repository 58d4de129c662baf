"""Alarms that were seldom worth having are told as less urgent, and never silenced."""

from __future__ import annotations

import pytest

from services.detector.domain.priority import Standing, priority
from services.detector.domain.signals import Severity
from services.detector.domain.worth import Worth
from shared.packs.base import Criticality

ALL = [Standing(criticality, callers) for criticality in Criticality for callers in (0, 1, 9)]


@pytest.mark.parametrize("standing", ALL)
@pytest.mark.parametrize("severity", Severity)
def test_doubt_makes_it_one_step_less_urgent_and_no_more(severity: Severity, standing: Standing) -> None:
    before = priority(severity, standing, burning=False)
    after = priority(severity, standing, burning=False, doubted=True)
    assert int(after[1]) == min(int(before[1]) + 1, 4)


@pytest.mark.parametrize("standing", ALL)
def test_where_an_objective_burns_nothing_is_doubted(standing: Standing) -> None:
    sure = priority(Severity.CRITICAL, standing, burning=True)
    assert priority(Severity.CRITICAL, standing, burning=True, doubted=True) == sure


def test_few_alarms_or_a_chance_of_being_right_are_no_reason_to_doubt() -> None:
    assert Worth(judged=20, share=0.1, high=0.3).doubted
    assert not Worth(judged=7, share=0.0, high=0.35).doubted
    assert not Worth(judged=20, share=0.3, high=0.52).doubted
