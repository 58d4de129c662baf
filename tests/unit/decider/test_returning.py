"""Going back to a provider: only after it has been well for long enough, and ever later when it keeps failing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.decider.domain.returning import Detour, due_at, wait_s

START = datetime(2026, 1, 1, tzinfo=UTC)
DETOUR = Detour("payments", "a", "b", START, 60)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_primary_must_have_been_well_without_a_break() -> None:
    assert due_at(DETOUR, None, [], at(1000)) is None
    assert due_at(DETOUR, at(30), [], at(31)) == at(90)
    assert due_at(DETOUR, at(80), [], at(81)) == at(140)  # it was ill again in between: counted anew


def test_a_primary_that_looked_well_all_the_time_is_not_gone_back_to_at_once() -> None:
    assert due_at(DETOUR, at(-3600), [], at(1)) == at(60)


def test_each_way_back_doubles_the_wait_and_is_forgotten_after_a_day() -> None:
    assert due_at(DETOUR, at(0), [at(-100)], at(1)) == at(120)
    assert due_at(DETOUR, at(0), [at(-300), at(-100)], at(1)) == at(240)
    assert due_at(DETOUR, at(0), [at(-86_500)], at(1)) == at(60)


@given(returns=st.lists(st.floats(-200_000, 0), max_size=20), well=st.floats(-100_000, 100_000))
def test_it_is_never_sooner_than_the_wait_after_every_reason_to_wait(returns: list[float], well: float) -> None:
    now = at(0)
    due = due_at(DETOUR, at(well), [at(one) for one in returns], now)
    assert due is not None
    assert due >= max(at(well), DETOUR.since) + timedelta(seconds=60)
    recent = [one for one in returns if one > -86_400]
    assert due >= max([at(well), DETOUR.since, *map(at, recent)]) + timedelta(seconds=wait_s(60, len(recent)))


def test_a_primary_that_comes_and_goes_is_gone_back_to_once_a_day() -> None:
    """Up for 90 s of every 150 s: a timer of 60 s would go back 24 times an hour."""
    returns: list[datetime] = []
    detour_since: datetime | None = at(0)
    for second in range(86_000):
        phase = second % 150
        well_since = at(second - phase + 60) if phase >= 60 else None
        if detour_since is None:
            detour_since = at(second) if well_since is None else None
            continue
        due = due_at(Detour("payments", "a", "b", detour_since, 60), well_since, returns, at(second))
        if due is not None and at(second) >= due:
            returns.append(at(second))
            detour_since = None
    assert len(returns) == 1
