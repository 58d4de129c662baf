"""Which month of backups is wholly past its retention."""

from __future__ import annotations

from datetime import UTC, datetime


def month_of(at: datetime) -> tuple[datetime, datetime]:
    """Beginning and end (not in it) of the month of `at`, in UTC.

    >>> [str(end.date()) for end in month_of(datetime(2026, 12, 31, 23, tzinfo=UTC))]
    ['2026-12-01', '2027-01-01']
    """
    utc = at.astimezone(UTC)
    begin = datetime(utc.year, utc.month, 1, tzinfo=UTC)
    return begin, datetime(utc.year + utc.month // 12, utc.month % 12 + 1, 1, tzinfo=UTC)


def first_whole_month(oldest: datetime | None, before: datetime) -> tuple[datetime, datetime] | None:
    """The month of the oldest backup, if all of it lies before `before`: each month is archived once, whole.

    >>> month = first_whole_month(datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    >>> month and str(month[0].date())
    '2026-01-01'
    >>> first_whole_month(datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)) is None
    True
    """
    if oldest is None:
        return None
    month = month_of(oldest)
    return month if month[1] <= before else None
