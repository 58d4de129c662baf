"""Windows that come again, in UTC. 2026-11-21 is a Saturday."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.packs.model import Pack
from shared.packs.schedule import Schedule


def covers(text: str, day: int, hour: int, minute: int = 0) -> bool:
    return Schedule.parse(text).covers(datetime(2026, 11, day, hour, minute, tzinfo=UTC))


def test_each_way_of_writing() -> None:
    assert covers("Sat 02:00/04:00", 21, 3)
    assert not covers("Sat 02:00/04:00", 21, 4)
    assert not covers("Sat 02:00/04:00", 20, 3)
    assert covers("Fri 16:00/Mon 08:00", 22, 12)
    assert covers("daily 23:00/01:00", 18, 0, 30)
    assert not covers("daily 23:00/01:00", 18, 1)


def test_a_cron_line_with_a_length() -> None:
    assert covers("30 1 * * 1-5 for 90m", 20, 2, 59)
    assert not covers("30 1 * * 1-5 for 90m", 20, 3)
    assert not covers("30 1 * * 1-5 for 90m", 21, 2)
    assert covers("0 22 * * sun for 4h", 23, 1), "past midnight"
    assert covers("*/15 8,9 1-21 11 * for 1m", 21, 9, 45)


@pytest.mark.parametrize(
    "text",
    ["whenever", "Sat 2:00/4:00", "60 1 * * * for 1h", "0 2 * * sat", "0 2 * * sat for 0m", "*/0 * * * * for 1m"],
)
def test_anything_else_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|make it"):
        Schedule.parse(text)


def test_a_pack_names_a_component_or_a_group_and_not_both() -> None:
    with pytest.raises(ValueError, match="leave out"):
        Pack.model_validate(
            {
                "pack": "p",
                "components": {"web": {"group": "g"}},
                "maintenance": [{"component": "web", "group": "g", "when": "Sat 02:00/04:00"}],
            }
        )
