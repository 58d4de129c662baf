"""Who must not be troubled: silences that people set, and maintenance windows of packs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from shared.packs.schedule import Schedule


@dataclass(frozen=True)
class Silence:
    """From one moment to another; `component` and `pattern` may hold `*` and `?`, label values too."""

    id: str
    starts_at: float
    ends_at: float
    component: str = "*"
    pattern: str = "*"
    labels: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    def covers(self, component: str, pattern: str, labels: Mapping[str, str], now: float) -> bool:
        return (
            self.starts_at <= now < self.ends_at
            and fnmatchcase(component, self.component)
            and fnmatchcase(pattern, self.pattern)
            and all(fnmatchcase(labels.get(label, ""), value) for label, value in self.labels)
        )


@dataclass(frozen=True)
class Window:
    """A maintenance window of one pack, for these components."""

    components: frozenset[str]
    when: str
    schedule: Schedule
    reason: str = ""


@dataclass(frozen=True)
class Silences:
    """All that are known, with those that are over."""

    people: tuple[Silence, ...] = ()
    windows: tuple[Window, ...] = ()
    practice: frozenset[str] = frozenset()
    """Components that are broken on purpose: nobody is troubled with them."""

    def reason(self, component: str, pattern: str, labels: Mapping[str, str], now: float) -> str:
        """Why it is silenced now; empty when it isn't."""
        if component in self.practice:
            return "a practice target"
        for silence in self.people:
            if silence.covers(component, pattern, labels, now):
                return f"silence {silence.id}" + (f": {silence.reason}" if silence.reason else "")
        for window in self.windows:
            if component in window.components and window.schedule.covers(datetime.fromtimestamp(now, UTC)):
                return f"maintenance {window.when}" + (f": {window.reason}" if window.reason else "")
        return ""
