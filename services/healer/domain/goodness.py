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


def judge(
    watched: Watched | None,
    sha256: str,
    now: datetime,
    good_after_s: float,
    last_trouble_at: datetime | None,
) -> Judgement:
    """What the file's present bytes are worth.

    `last_trouble_at`: `now` while the component has an open incident, else when the last one ended; None without.
    """
    in_trouble = last_trouble_at is not None and last_trouble_at >= now
    if watched is None:
        return Judgement.WATCH if in_trouble else Judgement.TRUST_FIRST
    if watched.sha256 != sha256:
        return Judgement.WATCH
    if watched.good:
        return Judgement.KNOWN
    quiet_since = max(watched.since, last_trouble_at) if last_trouble_at else watched.since
    return Judgement.PROMOTE if now - quiet_since >= timedelta(seconds=good_after_s) else Judgement.WAIT
