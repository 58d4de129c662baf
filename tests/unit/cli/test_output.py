"""Times and spans as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.observe import _line
from services.cli.output import ago, coloured, span

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (5, "5 s ago"),
        (89, "89 s ago"),
        (90, "2 min ago"),
        (3_600, "60 min ago"),
        (7_200, "2 h ago"),
        (259_200, "3 d ago"),
        (-30, "in 30 s"),
        (-600, "in 10 min"),
    ],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_no_time_is_nothing() -> None:
    assert ago(None) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "+0.0 s"), (12.345, "+12.3 s"), (312, "+5 min 12 s"), (7_260, "+2 h 1 min")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.floats(0, 1e7))
def test_spans_are_always_readable(seconds: float) -> None:
    assert span(seconds).startswith("+")
    assert len(span(seconds)) <= 16


def test_text_of_others_is_never_taken_for_markup() -> None:
    assert coloured("[bold]x[/bold]") == r"\[bold]x\[/bold]"


def test_an_event_is_one_line() -> None:
    body = {
        "at": NOW.isoformat(),
        "case_id": "0123456789",
        "component": "orders",
        "transition": "opened",
        "summary": "gone\nand more",
    }
    line = _line("7", "detector.incident.v1", body)
    assert "\n" not in line
    for part in ("7", "detector.incident", "01234567", "orders", "opened", "gone"):
        assert part in line
