"""Decisions get better while outcomes come in: the learning bench in small (requirement H16)."""

from __future__ import annotations

import pytest

from services.cli.bench._learning_life import First, Life, Sees, Way, recoveries, shares
from services.cli.bench._learning_memories import Everything, Nothing
from services.cli.bench._learning_year import Trouble, year

DAYS = 42
MONTH = 28


@pytest.fixture(scope="module")
def troubles() -> list[Trouble]:
    return [one for one in year(7) if one.day < DAYS]


def of(firsts: list[First], begin: int, end: int) -> dict[str, float]:
    return shares([one for one in firsts if begin <= one.day < end])


def test_h16_decisions_improve_from_what_was_tried_alone(troubles: list[Trouble]) -> None:
    learned = Life(Way()).live(troubles).firsts
    first, last = of(learned, 0, 7), of(learned, MONTH, DAYS)
    assert last["right"] > first["right"] + 0.25
    assert last["regret"] < first["regret"] / 2
    assert last["of these wrong"] < first["of these wrong"]


def test_h16_without_learning_nothing_improves(troubles: list[Trouble]) -> None:
    static = Life(Way(Nothing)).live(troubles).firsts
    assert of(static, MONTH, DAYS)["right"] < of(static, 0, 7)["right"] + 0.15


def test_who_knows_the_truth_is_always_right(troubles: list[Trouble]) -> None:
    assert shares(Life(Way(Nothing, sees=Sees.TRUTH)).live(troubles[:60]).firsts)["right"] == 1.0


def changing(good: int, truth: int, first: int, count: int) -> list[Trouble]:
    """Incidents of one kind on which one playbook always helps, and no other."""
    chances = tuple(0.99 if playbook == good else 0.01 for playbook in range(4))
    return [
        Trouble(float(first + number), "trouble", "service", 0.9, chances, (0.5,) * 4, truth) for number in range(count)
    ]


def test_h16_a_change_of_the_truth_is_recovered_from_sooner_than_by_counting_for_ever() -> None:
    troubles = [*changing(0, 1, 0, 40), *changing(1, 2, 40, 40)]
    ours, forever = (recoveries([Life(way).live(troubles)]) for way in (Way(), Way(Everything)))
    assert ours["changes"] == forever["changes"] == 1
    assert ours["incidents until recovered"] < forever["incidents until recovered"]
