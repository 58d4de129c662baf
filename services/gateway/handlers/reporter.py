"""Writes the report of an incident from all that was recorded of it, up to what came of the repair (C12, C13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.gateway.domain.incident_report import Report, Section, compose
from services.gateway.domain.story import Act, Moment
from services.gateway.handlers.narrate import narrate_all, percent
from shared.contracts.base import CaseEvent, Category
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.healer import Outcome, Result

MAX_LINES = 40
"""Sentences of a section; a case that dragged on is told by its newest."""


def write(events: Sequence[CaseEvent]) -> Report | None:
    """The report of what was recorded of one case; None when no incident is among it."""
    incidents = [event for event in events if isinstance(event, Incident)]
    if not incidents:
        return None
    incident = max(incidents, key=lambda event: event.revision)
    diagnoses = sorted((e for e in events if isinstance(e, Diagnosis)), key=lambda event: event.revision)
    diagnosis = diagnoses[-1] if diagnoses else None
    outcomes = [event for event in events if isinstance(event, Outcome)]
    began = min(event.opened_at for event in incidents)
    moments = narrate_all(events)
    return compose(
        f"Incident {str(incident.case_id)[:8]}: {incident.pattern} at {incident.component}",
        _summary(incident, diagnosis, outcomes),
        (
            Section("What happened", _happened(incident, began, moments)),
            Section("Who was affected", _affected(incident, diagnosis)),
            Section("Why", _why(diagnosis)),
            Section("What was ruled out", diagnosis.ruled_out if diagnosis else ()),
            Section("What had changed", diagnosis.recent_changes if diagnosis else ()),
            Section("What to look at", _look(diagnosis)),
            Section("What was decided", _told(moments, Act.DECIDED)),
            Section("What was done", _told(moments, Act.DONE)),
            Section("What came of it", _told(moments, Act.CAME_OF_IT)),
            Section("Time to fix", _times(diagnosis, outcomes)),
        ),
    )


def _summary(incident: Incident, diagnosis: Diagnosis | None, outcomes: Sequence[Outcome]) -> str:
    state = "is open" if incident.resolved_at is None else f"ended at {_clock(incident.resolved_at)}"
    cause = "Nothing has been concluded yet."
    if diagnosis is not None:
        best = diagnosis.best
        cause = f"The likeliest cause is {_cause(best)}."
        if best.category is Category.UNKNOWN:
            cause = "The cause is not known."
    done = ""
    if outcomes:
        last = max(outcomes, key=lambda event: event.finished_at)
        done = f" {last.playbook} {_ENDS[last.result]}."
    return f"{incident.component} was in trouble from {_clock(incident.opened_at)}; it {state}. {cause}{done}"


_ENDS = {
    Result.SUCCEEDED: "healed it",
    Result.ROLLED_BACK: "did not help and was taken back",
    Result.FAILED: "failed, and a person is needed",
    Result.SKIPPED: "was not carried out",
}


def _happened(incident: Incident, began: datetime, moments: Iterable[Moment]) -> tuple[str, ...]:
    first = f"{incident.severity.value.capitalize()} trouble since {_clock(began)}: {incident.summary}"
    errors = f"{incident.error_count} failed checks and error lines" if incident.error_count else ""
    flaps = "It comes and goes" if incident.flapping else ""
    seen = [line for moment in moments if moment.act is Act.SEEN for line in moment.lines]
    return tuple(line for line in (first, errors, flaps, *dict.fromkeys(seen)) if line)[:MAX_LINES]


def _affected(incident: Incident, diagnosis: Diagnosis | None) -> tuple[str, ...]:
    lines = [f"{incident.component} itself"]
    if diagnosis is not None and diagnosis.best.component != incident.component:
        lines.append(f"{diagnosis.best.component}, where the cause lies")
    if diagnosis is not None and diagnosis.affected:
        lines.append(f"Callers of {diagnosis.best.component}: {', '.join(diagnosis.affected)}")
    return tuple(lines)


def _why(diagnosis: Diagnosis | None) -> tuple[str, ...]:
    if diagnosis is None:
        return ()
    best = diagnosis.best
    symptom = f"Only a symptom of incident {diagnosis.symptom_of}" if diagnosis.symptom_of else ""
    held_up = f"Held up by {diagnosis.bottleneck}" if diagnosis.bottleneck else ""
    others = [f"Less likely: {_cause(cause)}" for cause in diagnosis.causes[1:4] if cause.confidence >= 0.1]
    return tuple(line for line in (_cause(best).capitalize(), *best.evidence, symptom, held_up, *others) if line)


def _cause(cause: Cause) -> str:
    return f"{cause.category.value} of {cause.component}, {percent(cause.confidence)} sure"


def _look(diagnosis: Diagnosis | None) -> tuple[str, ...]:
    found = diagnosis.next_observation if diagnosis else None
    if found is None:
        return ()
    return (f"The evidence is thin. {found.question} Yes: {found.if_yes.value}; no: {found.if_no.value}",)


def _told(moments: Iterable[Moment], act: Act) -> tuple[str, ...]:
    """What happened of one kind, each moment with its reasons."""
    lines = [
        f"{_clock(moment.at)} {moment.title}" + (f" ({'; '.join(moment.lines)})" if moment.lines else "")
        for moment in moments
        if moment.act is act
    ]
    return tuple(lines[-MAX_LINES:])


def _times(diagnosis: Diagnosis | None, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    lines = []
    if diagnosis is not None and diagnosis.estimated_fix_s is not None:
        kind = f"; a matter of {diagnosis.fix_type}" if diagnosis.fix_type else ""
        lines.append(f"Expected: {diagnosis.estimated_fix_s:g} s{kind}")
    for outcome in outcomes:
        if outcome.opened_at is not None and outcome.result is Result.SUCCEEDED:
            taken_s = (outcome.finished_at - outcome.opened_at).total_seconds()
            lines.append(f"Taken: {taken_s:.1f} s from the first sign to the confirmed end")
    return tuple(lines)


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
