"""Kinds of error recognised in log lines: the built-in five (requirements B07–B11) and the packs' own.

A line counts for one kind only, the most specific: packs know their systems better than the product does, and
among the built-in ones a rate limit is more telling than "an error of some API".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.detector.domain.signals import Fact, Finding, Method, Severity
from services.detector.domain.windows import SlidingSum
from shared.packs.model import LogPattern

ERROR_LEVELS = frozenset({"error", "err", "critical", "crit", "fatal", "alert", "emergency", "panic"})
EXAMPLE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error. `burst` lines within `window_s` make an incident; fewer are evidence."""

    id: str
    regex: re.Pattern[str]
    severity: Severity
    category: str
    burst: int = 5
    window_s: float = 30.0


def _built_in(id_: str, regex: str, severity: Severity, category: str) -> Kind:
    return Kind(id_, re.compile(regex), severity, category)


BUILT_IN = (
    _built_in("llm_error", r"Groq API error", Severity.WARNING, "dependency-failure"),
    _built_in("rate_limit", r"429.*Too Many Requests", Severity.WARNING, "rate-limit"),
    _built_in(
        "database_error", r"(DatabaseError|OperationalError|IntegrityError)", Severity.CRITICAL, "database-connection"
    ),
    _built_in("api_error", r"(429|500|502|503|504) (Client|Server) Error", Severity.WARNING, "dependency-failure"),
    _built_in("python_exception", r"(Traceback|Exception|Error):", Severity.WARNING, "unknown"),
)
"""Most specific first."""


def kind_of(pattern: LogPattern) -> Kind:
    """Raises re.error when the pattern isn't a regular expression."""
    return Kind(
        pattern.id,
        re.compile(pattern.match),
        Severity(pattern.severity.value),
        pattern.category.value,
        pattern.burst,
        pattern.window_s,
    )


def in_force(packs: Iterable[Kind]) -> tuple[Kind, ...]:
    """The packs' kinds in their order, then the built-in ones that no pack has redefined by name."""
    given = tuple(packs)
    names = {kind.id for kind in given}
    return given + tuple(kind for kind in BUILT_IN if kind.id not in names)


def classify(kinds: Sequence[Kind], message: str) -> Kind | None:
    """The most specific kind of this line.

    >>> classify(BUILT_IN, "429 Client Error: Too Many Requests for url").id
    'rate_limit'
    >>> classify(BUILT_IN, "503 Server Error: Service Unavailable").id
    'api_error'
    """
    for kind in kinds:
        if kind.regex.search(message):
            return kind
    return None


def is_error(level: str) -> bool:
    return level.lower() in ERROR_LEVELS


@dataclass(slots=True)
class Frequency:
    """How often one kind was seen at one component, with the newest line as an example."""

    window: SlidingSum
    total: int = 0
    last_at: float = 0.0
    example: str = ""
    severity: Severity = field(default=Severity.WARNING)

    def count(self, kind: Kind, message: str, at: float, now: float) -> bool:
        """Count a line; True when there are enough of them for an incident."""
        self.window.add(now, 1.0)
        self.total += 1
        self.last_at = max(self.last_at, at)
        self.example = message[:EXAMPLE_LENGTH]
        return self.window.total(now) >= kind.burst


def fact(component: str, kind: Kind, frequency: Frequency, now: float) -> Fact:
    recent = round(frequency.window.total(now))
    return Fact(
        f"log:{kind.id}",
        f"{recent} in {kind.window_s:g} s: {frequency.example}",
        frequency.last_at,
        component,
        f"fewer than {kind.burst}",
    )


def finding(component: str, kind: Kind, frequency: Frequency, now: float) -> Finding:
    recent = round(frequency.window.total(now))
    return Finding(
        component=component,
        method=Method.LOG_PATTERN,
        subject=f"log:{kind.id}",
        pattern=f"log:{kind.id}",
        severity=kind.severity,
        summary=f"{component} logged {recent} lines of kind {kind.id} within {kind.window_s:g} s",
        at=frequency.last_at,
        fact=fact(component, kind, frequency, now),
        labels={"category": kind.category},
        depth=1,
        quiet_s=kind.window_s,
    )
