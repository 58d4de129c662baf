"""Freeze windows are weekly, in UTC, and may go over the end of the week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.packs import FreezeWindow

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "inside"),
    [
        ("Fri 16:00/Mon 08:00", "2026-01-09T15:59+00:00", False),
        ("Fri 16:00/Mon 08:00", "2026-01-09T16:00+00:00", True),
        ("Fri 16:00/Mon 08:00", "2026-01-11T00:00+00:00", True),
        ("Fri 16:00/Mon 08:00", "2026-01-12T07:59+00:00", True),
        ("Fri 16:00/Mon 08:00", "2026-01-12T08:00+00:00", False),
        ("tue 00:00/tue 01:00", "2026-01-06T00:30+00:00", True),
        ("tue 00:00/tue 01:00", "2026-01-06T01:30+01:00", True),
    ],
)
def test_a_window_covers_its_start_and_not_its_end(text: str, at: str, inside: bool) -> None:
    assert FreezeWindow.parse(text).covers(datetime.fromisoformat(at)) is inside


@pytest.mark.parametrize(
    "text", ["", "Fri", "Fri 16:00", "Fri 24:00/Mon 08:00", "Fri 16:00/Fri 16:00", "Xyz 16:00/Mon 08:00"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=":"):
        FreezeWindow.parse(text)


@given(st.integers(0, 10_079), st.integers(0, 10_079), st.integers(0, 10_079), st.integers(-14, 14))
def test_a_window_and_its_complement_part_the_week(start: int, end: int, minute: int, offset_h: int) -> None:
    if start == end:
        return
    at = (MONDAY + timedelta(minutes=minute)).astimezone(timezone(timedelta(hours=offset_h)))
    assert FreezeWindow(start, end).covers(at) != FreezeWindow(end, start).covers(at)
