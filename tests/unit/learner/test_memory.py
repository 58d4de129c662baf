"""What past runs still say when the truth may have changed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.learner.domain.knowledge import Parameters, Run, known
from services.learner.domain.memory import Memory
from services.learner.domain.recovery import recovery

runs = st.lists(st.booleans(), max_size=80)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def past(*helped: bool, kind: str = "web", took_s: float = 10.0) -> list[Run]:
    return [Run(NOW + timedelta(minutes=number), kind, one, took_s) for number, one in enumerate(helped)]


@given(runs, st.sampled_from([0.0, 0.01, 0.05]))
def test_evidence_is_never_more_than_there_was(found: list[bool], change_chance: float) -> None:
    kept = Memory.of(found, change_chance).remembered()
    assert 0 <= kept.successes <= kept.runs <= len(found) + 0.05


@given(runs)
def test_where_nothing_ever_changes_every_run_counts(found: list[bool]) -> None:
    kept = Memory.of(found, change_chance=0).remembered()
    assert (kept.runs, kept.successes) == pytest.approx((len(found), sum(found)), abs=0.06)


@given(runs)
def test_a_success_never_lowers_what_is_expected(found: list[bool]) -> None:
    memory = Memory.of(found)
    before = memory.chance
    memory.add(True)
    assert memory.chance >= before - 0.02


def test_steady_evidence_is_kept_and_a_change_empties_it() -> None:
    steady = Memory.of([True] * 60)
    assert steady.remembered().runs > 35
    for _ in range(5):
        steady.add(False)
    kept = steady.remembered()
    assert kept.runs < 12
    assert steady.chance < 0.35


def test_a_change_is_told_once() -> None:
    memory = Memory.of([True] * 40)
    told = [changed for _ in range(30) if (changed := memory.add(False)) is not None]
    assert len(told) == 1
    assert told[0].before > 0.9
    assert told[0].since < 0.3


def test_chance_alone_is_hardly_ever_taken_for_a_change() -> None:
    rng = random.Random(1)
    told = sum(Memory().add(rng.random() < 0.8) is not None for _ in range(10))
    for _ in range(10):
        memory = Memory()
        told += sum(memory.add(rng.random() < 0.8) is not None for _ in range(100))
    assert told <= 2


def test_kinds_of_components_are_remembered_apart() -> None:
    found = known(past(*[True] * 10, kind="web") + past(*[False] * 10, kind="worker"), Parameters())
    assert found.by_kind["web"].rate > 0.8
    assert found.by_kind["worker"].rate < 0.2
    assert found.news is None


def test_news_are_those_of_the_newest_run_only() -> None:
    attempts = past(*[True] * 20, *[False] * 10)
    told = [number for number in range(1, 31) if known(attempts[:number], Parameters()).news is not None]
    assert len(told) == 1
    changed_at = known(attempts, Parameters()).changed_at
    assert changed_at is not None
    assert attempts[18].at <= changed_at <= attempts[22].at


def test_old_recovery_times_are_forgotten_and_failures_say_nothing_of_time() -> None:
    slow = past(*[True] * 30, took_s=600.0)
    fast = past(*[True] * 20, took_s=20.0)
    useless = past(*[False] * 20, took_s=9_000.0)
    found = known(slow + fast + useless, Parameters(recovery_runs=20)).recovery
    assert found is not None
    assert (found.typical_s, found.high_s) == (20.0, 20.0)
    assert known(useless, Parameters()).recovery is None


@given(st.lists(st.floats(0.1, 1e5), min_size=1, max_size=50), st.integers(1, 60))
def test_the_high_time_is_no_less_than_the_typical(times_s: list[float], newest: int) -> None:
    found = recovery(times_s, newest)
    assert found is not None
    assert min(times_s) - 1e-3 <= found.typical_s <= found.high_s + 1e-3
