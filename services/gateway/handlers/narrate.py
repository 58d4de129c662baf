"""Events as people read them: one sentence each, and the reasons beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.gateway.domain.story import Act, Moment
from shared.contracts.base import CaseEvent
from shared.contracts.decider import Decision, Plan, ProviderRecovered, Verdict
from shared.contracts.decider_governance import Overridden
from shared.contracts.detector import Incident, Transition
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import Message, Outcome, Phase, Result, RouteChange, RouteChanged, RunProgress
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Moment as Timing
from shared.contracts.predictor import Prediction

RECORDED: Mapping[str, type[CaseEvent]] = {
    contract.SUBJECT: contract
    for contract in (
        Incident,
        Diagnosis,
        Decision,
        RunProgress,
        Outcome,
        Prediction,
        Recommendation,
        ManualRequest,
        Overridden,
        RouteChanged,
        ProviderRecovered,
        Message,
    )
}
"""Every contract that makes stories, by its subject."""


def narrate(event: CaseEvent) -> Moment | None:
    """The moment that `event` is in its case's story; None for what only adds to a moment before."""
    match event:
        case Incident():
            return _incident(event)
        case Diagnosis():
            return _diagnosis(event)
        case Decision():
            return _decision(event)
        case RunProgress():
            return _progress(event)
        case Outcome():
            return _outcome(event)
        case Prediction():
            return _prediction(event)
        case Recommendation():
            return _recommendation(event)
        case Overridden():
            return _overridden(event)
        case ManualRequest():
            title = f"{event.by} asks for {event.playbook} on {event.component}"
            return _moment(Act.SEEN, event, "gateway", title, [event.comment])
        case RouteChanged():
            return _route_changed(event)
        case ProviderRecovered():
            return _recovered(event)
        case Message():
            return _moment(Act.DONE, event, "healer", f"{event.playbook} tells {event.channel}: {event.text}")
    return None


def narrate_all(events: Iterable[CaseEvent]) -> list[Moment]:
    """The moments of a case; of a prediction's many revisions only those at which its timing changed."""
    moments: list[Moment] = []
    timing: Timing | None = None
    for event in events:
        if isinstance(event, Prediction):
            if event.moment == timing:
                continue
            timing = event.moment
        moment = narrate(event)
        if moment is not None:
            moments.append(moment)
    return moments


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _moment(act: Act, event: CaseEvent, service: str, title: str, lines: Iterable[str] = ()) -> Moment:
    return Moment(act, event.at, service, title, tuple(line for line in lines if line), str(event.id))


def _incident(event: Incident) -> Moment | None:
    about = f"{event.pattern} on {event.component}"
    evidence = [
        f"{seen.name} is {_plain(seen.observed)}{seen.unit and f' {seen.unit}'}"
        + (f", expected {seen.expected}" if seen.expected else "")
        for seen in event.evidence[:5]
    ]
    evidence += [f"priority {event.priority}"] if event.priority else []
    evidence += [f"silenced: {event.silenced}"] if event.silenced else []
    match event.transition:
        case Transition.OPENED:
            return _moment(Act.SEEN, event, "detector", f"{event.severity} {about}: {event.summary}", evidence)
        case Transition.ESCALATED:
            return _moment(Act.SEEN, event, "detector", f"{about} is {event.severity} now: {event.summary}", evidence)
        case Transition.REOPENED:
            return _moment(Act.SEEN, event, "detector", f"{about} is back: {event.summary}", evidence)
        case Transition.RESOLVED:
            return _moment(Act.CAME_OF_IT, event, "detector", f"{about} is gone", [_errors(event.error_count)])
    return None


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _errors(count: int) -> str:
    return f"{count} failed checks and error lines in all" if count else ""


def _diagnosis(event: Diagnosis) -> Moment:
    best = event.best
    title = f"cause: {best.category} of {best.component}, {percent(best.confidence)} sure ({best.signature})"
    lines = [*best.evidence[:6]]
    if event.symptom_of:
        lines.append(f"only a symptom of incident {event.symptom_of}")
    if event.causes[1:]:
        others = (f"{c.category} of {c.component} {percent(c.confidence)}" for c in event.causes[1:4])
        lines.append(f"less likely: {', '.join(others)}")
    if event.ruled_out:
        lines.append(f"ruled out: {'; '.join(event.ruled_out[:4])}")
    if event.bottleneck:
        lines.append(f"held up by {event.bottleneck}")
    if look := event.next_observation:
        lines.append(f"would settle it: {look.question} (yes: {look.if_yes}, no: {look.if_no})")
    return _moment(Act.CONCLUDED, event, "diagnoser", title, lines)


def _decision(event: Decision) -> Moment:
    playbook = event.plan.playbook if event.plan else ""
    match event.verdict:
        case Verdict.EXECUTE:
            title = f"do {playbook} on {event.component}{' as a dry run' if event.dry_run else ''}"
        case Verdict.ASK:
            title = f"ask a person before {playbook} on {event.component}"
        case Verdict.OBSERVE:
            title = f"only observe {event.component}" + (f"; would do {playbook}" if playbook else "")
        case Verdict.ABSTAIN:
            title = f"do nothing to {event.component}"
    if event.decided_by != "homeostat":
        title += f", said {event.decided_by}"
    lines = [*event.explanation.splitlines(), f"rule {event.reason}", *_asked_of(event.plan)]
    return _moment(Act.DECIDED, event, "decider", title, lines)


def _asked_of(plan: Plan | None) -> list[str]:
    """What the playbook wants to hold, in its author's words."""
    if plan is None:
        return []
    before = [f"begins only while `{one.name}` holds: {one.that}" for one in plan.spec.preconditions]
    return before + [f"has helped when `{one.name}` holds: {one.that}" for one in plan.spec.success_criteria]


def _overridden(event: Overridden) -> Moment:
    instead = f"run {event.playbook}" if event.verdict == Verdict.EXECUTE else "leave it alone"
    title = f"{event.by} overrules: {instead}" + ("" if event.applied else " (only to learn from)")
    return _moment(
        Act.DECIDED, event, "decider", title, [event.reason, f"it was: {event.was} {event.was_playbook or ''}"]
    )


_PHASES: Mapping[Phase, str] = {
    Phase.QUEUED: "waits for its turn",
    Phase.PLANNED: "is planned",
    Phase.BACKED_UP: "has backed up what it will change",
    Phase.APPLIED: "is applied",
    Phase.VALIDATING: "is applied; watches whether it helped",
    Phase.ROLLING_BACK: "takes back what it did",
}
"""Of the final phases the outcome tells more."""


def _progress(event: RunProgress) -> Moment | None:
    said = f"step {event.step}" if event.phase == Phase.STEP else _PHASES.get(event.phase)
    if said is None:
        return None
    title = f"{event.playbook}: {said}{' (dry run)' if event.dry_run else ''}"
    took = f"took {event.duration_ms:.0f} ms" if event.duration_ms is not None else ""
    return _moment(Act.DONE, event, "healer", title, [event.detail, took])


def _route_changed(event: RouteChanged) -> Moment:
    way = "goes back" if event.change is RouteChange.RETURNED else "fails over"
    title = f"traffic of {event.component} {way} from {event.from_provider} to {event.to_provider}"
    return _moment(Act.DONE, event, "healer", title)


def _recovered(event: ProviderRecovered) -> Moment:
    title = f"{event.provider} is well again; {event.component} still uses {event.in_use}"
    lines = [f"well since {event.well_since:%H:%M:%S} UTC, for at least {event.waited_s:.0f} s as wanted"]
    if event.returns_of_the_day:
        lines.append(f"{event.returns_of_the_day} ways back within a day: the wait was doubled for each")
    return _moment(Act.SEEN, event, "decider", title, lines)


_RESULTS: Mapping[Result, str] = {
    Result.SUCCEEDED: "helped",
    Result.ROLLED_BACK: "did not help and was taken back",
    Result.FAILED: "failed; a person is needed",
    Result.SKIPPED: "was not needed or only a dry run",
}


def _outcome(event: Outcome) -> Moment:
    lines = [event.reason]
    if event.opened_at is not None:
        recovery_s = (event.finished_at - event.opened_at).total_seconds()
        lines.append(f"{recovery_s:.1f} s from the first sign to the confirmed end")
        if event.applied_at is not None:
            fix_s = (event.applied_at - event.opened_at).total_seconds()
            lines.append(f"{fix_s:.1f} s from the first sign to the repair")
    lines.append(f"{event.error_count_after} errors afterwards" if event.error_count_after else "")
    lines.append(f"backup {event.backup_id} is kept" if event.backup_id else "")
    lines.append(f"goes on with {event.escalate_to}" if event.escalate_to else "")
    return _moment(Act.CAME_OF_IT, event, "healer", f"{event.playbook} {_RESULTS[event.result]}", lines)


def _prediction(event: Prediction) -> Moment:
    act = Act.CAME_OF_IT if event.moment == Timing.GONE else Act.SEEN
    said = {
        Timing.WAIT: "waits for a quiet moment",
        Timing.QUIET: "it is quiet: a good moment to act",
        Timing.DEADLINE: "no time to wait for a quiet moment",
        Timing.GONE: f"{event.predicted_issue} is no longer expected",
    }[event.moment]
    return _moment(act, event, "predictor", event.summary, [said])


def _recommendation(event: Recommendation) -> Moment:
    before = "" if event.current is None else f"from {event.current:g} "
    title = f"set {event.knob} of {event.component} {before}to {event.recommended:g} {event.unit}".rstrip()
    return _moment(Act.SEEN, event, "optimizer", title, [event.expected_improvement, event.evidence])
