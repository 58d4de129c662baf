"""Every event of the services is written to the timeline once, and the newest state of what it tells of is kept."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import trace

from services.gateway.handlers.notices import tell
from services.gateway.store import access, timeline
from services.gateway.store.access import Deed
from services.gateway.store.timeline import State
from shared import telemetry
from shared.contracts.base import CaseEvent
from shared.contracts.decider import Decision, ProviderRecovered
from shared.contracts.decider_governance import AutonomyChanged, Overridden
from shared.contracts.detector import Incident, Transition
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import Message, Outcome, RouteChanged, RunProgress
from shared.contracts.learner import Drift
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Prediction
from shared.outbox import Unit
from shared.packs.book import PackBook


@dataclass(frozen=True, slots=True)
class Summary:
    """Under which name an event's newest state is kept."""

    kind: str
    key: str
    status: str
    revision: int = 0


def summary(event: CaseEvent) -> Summary:
    """How `event` is found again.

    Raises:
        TypeError: a contract that the gateway doesn't know.
    """
    case = str(event.case_id)
    match event:
        case Incident():
            return Summary("incident", case, "open" if event.is_open else "resolved", event.revision)
        case Diagnosis():
            return Summary("diagnosis", case, event.best.category, event.revision)
        case Decision():
            return Summary("decision", str(event.decision_id), event.verdict, event.revision)
        case RunProgress():
            return Summary("run", str(event.decision_id), event.phase)
        case Outcome():
            return Summary("outcome", str(event.decision_id), event.result)
        case Prediction():
            return Summary("prediction", case, event.moment, event.revision)
        case Recommendation():
            return Summary("recommendation", case, "proposed")
        case Overridden():
            return Summary("override", str(event.id), "applied" if event.applied else "label")
        case ManualRequest():
            return Summary("request", case, "requested")
        case RouteChanged():
            return Summary("route", event.component, event.change)
        case Message():
            return Summary("message", str(event.id), "said")
        case ProviderRecovered():
            return Summary("recovery", case, "opened")
    raise TypeError(f"the gateway keeps no state of {type(event).__name__}")


async def record(event: CaseEvent, unit: Unit, packs: PackBook) -> None:
    """Appends `event` to the timeline, keeps its state if it is the newest, and writes down whom to tell of it."""
    body = timeline.body_of(event)
    if not await timeline.record(unit.session, event, body, unit.now, current_trace_id()):
        return
    found = summary(event)
    state = State(found.kind, found.key, event.case_id, event.component, found.status, found.revision, event.at, body)
    await timeline.keep_newest(unit.session, state)
    await tell(event, unit, packs)
    _count(event)


async def drifted(event: Drift, unit: Unit) -> None:
    """What was learned of a playbook no longer holds: into the timeline, for whoever asks why we decide otherwise."""
    await timeline.record(unit.session, event, timeline.body_of(event), unit.now, current_trace_id())


async def governed(event: AutonomyChanged, unit: Unit) -> None:
    """A right to act alone was given or taken: into the timeline and the audit, each once."""
    if not await timeline.record(unit.session, event, timeline.body_of(event), unit.now, current_trace_id()):
        return
    deed = Deed(
        id=event.id,
        at=event.at,
        actor=event.by,
        role="",
        action=f"autonomy {event.before.value} → {event.level.value}",
        target=f"{event.pack}/{event.playbook} on {event.signature}"[:500],
        result="done",
        status=200,
        detail=event.model_dump(mode="json", include={"reason", "words", "evidence", "decision_id", "cooling_until"}),
    )
    await access.write_audit(unit.session, deed)


def _count(event: CaseEvent) -> None:
    """Each event once, whichever replica it came to; growing evidence and later revisions are no new happenings."""
    match event:
        case Incident() if event.transition != Transition.EVIDENCE:
            telemetry.INCIDENTS.labels(event.transition, event.severity).inc()
        case Decision():
            telemetry.DECISIONS.labels(event.verdict, event.reason).inc()
        case Prediction() if event.revision == 1:
            telemetry.PREDICTIONS.labels(event.metric).inc()


def current_trace_id() -> str:
    """32 hexadecimal digits, or nothing outside a trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""
