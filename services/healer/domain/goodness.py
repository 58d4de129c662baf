"""Which bytes of a configuration file are known to be good: those in force for a while without an incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Judgement(StrEnum):
    """What to do about the file as it is now."""

    TRUST_FIRST = "trust-first"
    """Never seen before, and nothing is wrong: it is what the owner runs."""
    WATCH = "watch"
    """New bytes: the time begins to run."""
    WAIT = "wait"
    PROMOTE = "promote"
    KNOWN = "known"
    """Already good."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A file as it was last seen: its bytes, their age, and whether they were found good."""

    sha256: str
    since: datetime
    good: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Of the component whose file it is: when its newest incident began, and when the last one ended, or now."""

    began: datetime
    until: datetime


SUSPECT_FOR = 12
"""Bytes with which trouble came must be quiet for so many times as long: that it went may mean no more than that the
process did not take them."""
SEEN_SOONER = timedelta(seconds=5)
"""By so much an incident may be noticed before the new bytes are."""


def judge(
    watched: Watched | None, sha256: str, now: datetime, good_after_s: float, trouble: Trouble | None
) -> Judgement:
    """What the file's present bytes are worth. `trouble`: None when there never was any."""
    if watched is None:
        return Judgement.WATCH if trouble and trouble.until >= now else Judgement.TRUST_FIRST
    if watched.sha256 != sha256:
        return Judgement.WATCH
    if watched.good:
        return Judgement.KNOWN
    quiet_since, needed = watched.since, timedelta(seconds=good_after_s)
    if trouble:
        quiet_since = max(quiet_since, trouble.until)
        if trouble.began >= watched.since - SEEN_SOONER:
            needed *= SUSPECT_FOR
    return Judgement.PROMOTE if now - quiet_since >= needed else Judgement.WAIT
