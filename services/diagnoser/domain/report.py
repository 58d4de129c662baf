"""The diagnosis in plain language: what, to whom, since when, why we think so, and what was ruled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from services.diagnoser.domain.evidence import Cause
from services.diagnoser.domain.signals import IncidentSeen
from shared.packs import Category


class FixType(StrEnum):
    """What kind of thing has to be put right (requirement C02)."""

    CONFIGURATION = "configuration"
    CODE = "code"
    INFRASTRUCTURE = "infrastructure"


FIX_S: Mapping[Category, float] = {
    Category.CRASH: 10,
    Category.HANG: 15,
    Category.CONFIGURATION: 20,
    Category.TUNING: 60,
    Category.DEPENDENCY_FAILURE: 60,
    Category.TIMEOUT: 60,
    Category.RATE_LIMIT: 120,
    Category.RESOURCE_EXHAUSTION: 120,
    Category.DATABASE_CONNECTION: 120,
    Category.OVERLOAD: 300,
    Category.DEPLOYMENT: 300,
}
"""Usual time to put it right in seconds, until the learner has measured ones; nothing for what is unknown."""

_FIX_TYPES: Mapping[Category, FixType] = {
    Category.CONFIGURATION: FixType.CONFIGURATION,
    Category.TUNING: FixType.CONFIGURATION,
    Category.RATE_LIMIT: FixType.CONFIGURATION,
    Category.TIMEOUT: FixType.CONFIGURATION,
    Category.DEPLOYMENT: FixType.CODE,
    Category.CRASH: FixType.INFRASTRUCTURE,
    Category.HANG: FixType.INFRASTRUCTURE,
    Category.RESOURCE_EXHAUSTION: FixType.INFRASTRUCTURE,
    Category.DEPENDENCY_FAILURE: FixType.INFRASTRUCTURE,
    Category.DATABASE_CONNECTION: FixType.INFRASTRUCTURE,
    Category.OVERLOAD: FixType.INFRASTRUCTURE,
}

_SAID: Mapping[Category, str] = {
    Category.CRASH: "{0} has crashed",
    Category.HANG: "{0} hangs",
    Category.CONFIGURATION: "the configuration of {0} is wrong",
    Category.RESOURCE_EXHAUSTION: "{0} is running out of a resource",
    Category.DEPENDENCY_FAILURE: "something that {0} depends on is failing",
    Category.RATE_LIMIT: "{0} is being rate-limited",
    Category.DATABASE_CONNECTION: "{0} has trouble with its database",
    Category.TIMEOUT: "calls of {0} take too long",
    Category.OVERLOAD: "{0} is overloaded",
    Category.DEPLOYMENT: "the last deployment of {0} broke it",
    Category.TUNING: "a setting of {0} is not tuned",
    Category.UNKNOWN: "the cause is not known",
}


def fix_type_of(category: Category) -> FixType | None:
    return _FIX_TYPES.get(category)


def write_report(
    incident: IncidentSeen,
    causes: Sequence[Cause],
    symptom: bool,
    affected: Sequence[str],
    ruled_out: Sequence[str],
) -> str:
    """A few sentences, each from a fact."""
    best = causes[0]
    errors = f", {incident.error_count} errors so far" if incident.error_count else ""
    lines = [
        f"{incident.component} is in {incident.severity.value} trouble since {incident.opened_at:%H:%M:%S} UTC"
        f"{errors}: {incident.summary}."
    ]
    said = _SAID[best.category].format(best.component)
    lead = "This is a symptom: " if symptom else "Most likely "
    lines.append(f"{lead}{said} (confidence {best.confidence:.0%}).")
    lines.append("Why: " + "; ".join(best.evidence[:4]) + ".")
    others = [c for c in causes[1:4] if c.category is not Category.UNKNOWN and c.confidence >= 0.1]
    if others:
        told = (f"{_SAID[c.category].format(c.component)} ({c.confidence:.0%})" for c in others)
        lines.append("Less likely: " + "; ".join(told) + ".")
    if ruled_out:
        lines.append("Ruled out: " + "; ".join(ruled_out) + ".")
    if affected:
        lines.append(f"Affected as callers of {best.component}: {', '.join(affected)}.")
    kind = fix_type_of(best.category)
    if best.category in FIX_S and kind:
        lines.append(f"The fix is one of {kind.value} and usually takes about {FIX_S[best.category]:g} s.")
    return "\n".join(lines)
