"""One line per event, as the demo prints them and its report keeps them."""

from __future__ import annotations

from datetime import datetime

from rich.markup import escape

from shared.contracts.base import CaseEvent
from shared.contracts.decider import Decision
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.healer import Outcome, RouteChanged, RunProgress
from shared.contracts.predictor import Prediction

STYLES = {
    Incident: ("red", "seen"),
    Prediction: ("magenta", "predicted"),
    Diagnosis: ("yellow", "concluded"),
    Decision: ("cyan", "decided"),
    RunProgress: ("blue", "done"),
    RouteChanged: ("blue", "done"),
    Outcome: ("green", "outcome"),
}


def describe(event: CaseEvent) -> str:
    """What happened, in one short line without its time."""
    match event:
        case Incident():
            return f"{event.transition} {event.severity}: {event.summary}"
        case Prediction():
            return f"{event.moment}: {event.summary}"
        case Diagnosis():
            best = event.best
            symptom = ", a symptom of another incident" if event.symptom_of else ""
            return f"{best.category} of {best.component} ({best.confidence:.0%}){symptom}"
        case Decision():
            playbook = f" {event.plan.playbook}" if event.plan else ""
            return f"{event.verdict}{playbook} on {event.component}: {event.reason} (confidence {event.confidence:.0%})"
        case RunProgress():
            detail = f": {event.detail}" if event.detail else ""
            return f"{event.playbook} {event.phase} {event.step}{detail}"
        case RouteChanged():
            return f"{event.change}: {event.from_provider} → {event.to_provider}"
        case Outcome():
            return f"{event.playbook} {event.result}: {event.reason}"
        case _:
            return type(event).__name__


def line(event: CaseEvent, began: datetime) -> str:
    """With time since `began` and colours for rich."""
    style, word = STYLES[type(event)]
    seconds = (event.at - began).total_seconds()
    who = f"[{style}]{word:9}[/{style}] [bold]{event.component:10}[/bold]"
    return f"[dim]{seconds:7.2f} s[/dim] {who} {escape(describe(event))}"
