"""The diagnosis in plain language: what, to whom, since when, why we think so, what was ruled out, what to look at.

Every sentence is made from a fact by a template; a section without facts is left out. No language model is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.diagnoser.domain.categories import fix_type_of, said
from services.diagnoser.domain.evidence import Cause
from services.diagnoser.domain.next_observation import NextObservation
from services.diagnoser.domain.signals import IncidentSeen
from shared.packs import Category

LEAST_TOLD = 0.1
"""Less likely causes are not told of."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report is made of. `causes` best first; `entries`: affected components that nothing calls."""

    causes: Sequence[Cause]
    symptom: bool = False
    affected: Sequence[str] = ()
    entries: Sequence[str] = ()
    error_share: float = 0.0
    ruled_out: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    bottleneck: str = ""
    next_observation: NextObservation | None = None
    fix_s: float | None = None
    fix_cases: int = 0
    """How many measured repairs `fix_s` rests on; 0: it is the usual time of such a fix."""


def write_report(incident: IncidentSeen, findings: Findings) -> str:
    """One line for each section that has something to say."""
    lines = (
        _what(incident, findings),
        _to_whom(findings),
        _cause(findings),
        _why(findings),
        f"The bottleneck: {findings.bottleneck}." if findings.bottleneck else "",
        _others(findings),
        f"Ruled out: {'; '.join(findings.ruled_out)}." if findings.ruled_out else "",
        f"Changed recently: {'; '.join(findings.changes)}." if findings.changes else "",
        _next(findings.next_observation),
        _fix(findings),
    )
    return "\n".join(line for line in lines if line)


def _what(incident: IncidentSeen, findings: Findings) -> str:
    errors = f", {incident.error_count} errors so far" if incident.error_count else ""
    share = f", {findings.error_share:.0%} of its requests fail" if findings.error_share > 0 else ""
    return (
        f"{incident.component} is in {incident.severity.value} trouble since {incident.opened_at:%H:%M:%S} UTC"
        f"{errors}{share}: {incident.summary}."
    )


def _to_whom(findings: Findings) -> str:
    if not findings.affected:
        return ""
    entries = f"; requests come in through {', '.join(findings.entries)}" if findings.entries else ""
    return f"Affected as callers of {findings.causes[0].component}: {', '.join(findings.affected)}{entries}."


def _cause(findings: Findings) -> str:
    best = findings.causes[0]
    lead = "This is a symptom: " if findings.symptom else "Most likely "
    return f"{lead}{said(best.category, best.component)} (confidence {best.confidence:.0%})."


def _why(findings: Findings) -> str:
    best = findings.causes[0]
    experience = ""
    if best.raw is not None and abs(best.raw - best.confidence) >= 0.02 and not findings.symptom:
        experience = (
            f" The evidence alone says {best.raw:.0%}; experience with such diagnoses says {best.confidence:.0%}."
        )
    return f"Why: {'; '.join(best.evidence[:4])}.{experience}"


def _others(findings: Findings) -> str:
    others = [c for c in findings.causes[1:4] if c.category is not Category.UNKNOWN and c.confidence >= LEAST_TOLD]
    told = (f"{said(c.category, c.component)} ({c.confidence:.0%})" for c in others)
    return f"Less likely: {'; '.join(told)}." if others else ""


def _next(found: NextObservation | None) -> str:
    if found is None:
        return ""
    speaks = f"yes speaks for {found.if_yes.value}, no for {found.if_no.value}"
    if found.if_yes is found.if_no:
        speaks = f"yes or no, it shows how likely {found.if_yes.value} is"
    return f"The evidence is thin. What would settle it best: {found.question} ({speaks})."


def _fix(findings: Findings) -> str:
    kind = fix_type_of(findings.causes[0].category)
    if kind is None or findings.fix_s is None:
        return ""
    cases = f", by {findings.fix_cases} measured ones" if findings.fix_cases else ""
    return f"The fix is one of {kind.value} and usually takes about {findings.fix_s:g} s{cases}."
