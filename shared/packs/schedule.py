"""Times that come again: weekly windows, daily ones, and cron lines with a length. All in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from shared.contracts.base import Token
from shared.packs.base import Part
from shared.packs.policy import FreezeWindow

_SHORT = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) (\d\d:\d\d)/(\d\d:\d\d)", re.IGNORECASE)
_DAILY = re.compile(r"daily ([01]\d|2[0-3]):([0-5]\d)/([01]\d|2[0-3]):([0-5]\d)", re.IGNORECASE)
_CRON = re.compile(r"(\S+ \S+ \S+ \S+ \S+) for (\d+)(m|h)", re.IGNORECASE)
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = {name: str(number) for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
MAX_LENGTH_M = 7 * 1_440
REMEDY = "write it as `Sat 02:00/04:00`, `Fri 16:00/Mon 08:00`, `daily 02:00/04:00` or `0 2 * * sat for 2h`, in UTC"


class Maintenance(Part):
    """When alarms of a component, a group, or (with neither) the whole pack are expected: they are recorded, silenced
    and not healed."""

    component: Token | None = None
    group: Token | None = None
    when: Annotated[str, Field(min_length=1, max_length=200)]
    mute: bool = True
    """False: alarms are told as ever, and healed."""
    reason: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _not_both(self) -> Maintenance:
        if self.component is not None and self.group is not None:
            raise ValueError("maintenance is of a component or of a group: leave out one of the two")
        return self


@dataclass(frozen=True, slots=True)
class Schedule:
    """A window that comes again: one of the two kinds is set."""

    weekly: FreezeWindow | None = None
    minutes_of_day: tuple[int, int] | None = None
    cron: tuple[frozenset[int], ...] = ()
    length_m: int = 0

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """
        >>> Schedule.parse("Sat 02:00/04:00").covers(datetime(2026, 11, 21, 3, tzinfo=UTC))
        True
        >>> Schedule.parse("30 1 * * mon-fri for 90m").covers(datetime(2026, 11, 20, 2, 59, tzinfo=UTC))
        True

        Raises:
            ValueError: written otherwise, or of no length.
        """
        text = " ".join(text.split())
        if found := _SHORT.fullmatch(text):
            return cls(weekly=FreezeWindow.parse(f"{found[1]} {found[2]}/{found[1]} {found[3]}"))
        if found := _DAILY.fullmatch(text):
            start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
            if start == end:
                raise ValueError(f"{text!r} begins when it ends: give it a length")
            return cls(minutes_of_day=(start, end))
        if found := _CRON.fullmatch(text):
            length_m = int(found[2]) * (60 if found[3].lower() == "h" else 1)
            if not 0 < length_m <= MAX_LENGTH_M:
                raise ValueError(f"{text!r} lasts {length_m} minutes: make it one minute to seven days")
            return cls(cron=_cron(found[1], text), length_m=length_m)
        try:
            return cls(weekly=FreezeWindow.parse(text))
        except ValueError as error:
            if "begins when" in str(error):
                raise
            raise ValueError(f"{text!r} is no window: {REMEDY}") from None

    def covers(self, at: datetime) -> bool:
        """Whether `at` (with a time zone) lies in the window; its end does not."""
        utc = at.astimezone(UTC)
        if self.weekly is not None:
            return self.weekly.covers(utc)
        if self.minutes_of_day is not None:
            start, end = self.minutes_of_day
            minute = utc.hour * 60 + utc.minute
            return start <= minute < end if start < end else minute >= start or minute < end
        begun = utc.replace(second=0, microsecond=0)
        return any(self._begins(begun - timedelta(minutes=ago)) for ago in range(self.length_m))

    def _begins(self, at: datetime) -> bool:
        minute, hour, day, month, weekday = self.cron
        if at.minute not in minute or at.hour not in hour or at.month not in month:
            return False
        return at.day in day and (at.weekday() + 1) % 7 in weekday


def _cron(line: str, text: str) -> tuple[frozenset[int], ...]:
    fields = []
    for part, (low, high) in zip(line.lower().split(), _BOUNDS, strict=True):
        values: set[int] = set()
        for name, number in _NAMES.items():
            part = part.replace(name, number)
        for piece in part.split(","):
            found = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", piece)
            if found is None:
                raise ValueError(f"{text!r} is no window: {REMEDY}")
            first = low if found[1] == "*" else int(found[2])
            last = high if found[1] == "*" else int(found[3] or found[2])
            if not low <= first <= last <= high or found[4] == "0":
                raise ValueError(f"{text!r} is no window: {REMEDY}")
            values.update(range(first, last + 1, int(found[4] or 1)))
        fields.append(frozenset(value % 7 for value in values) if high == 7 else frozenset(values))
    return tuple(fields)
