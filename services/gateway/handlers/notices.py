"""Which events people are told of: written beside the event in the timeline, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid5

from pydantic import TypeAdapter

from services.gateway.domain.notices.model import Notice, Question, channels_for
from services.gateway.handlers.narrate import narrate
from services.gateway.store import notices, timeline
from shared.contracts.base import CaseEvent, Severity
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Incident, Transition
from shared.contracts.healer import Message, Outcome, Result, RouteChanged
from shared.contracts.predictor import Prediction
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.model import Pack
from shared.packs.notify import NoticeKind

NOTICE: TypeAdapter[Notice] = TypeAdapter(Notice)
STORM_PREFIX = "estate-"
"""The detector tells a storm as an incident of `estate-<pack>`."""

_RESULTS = {
    Result.SUCCEEDED: NoticeKind.HEALED,
    Result.ROLLED_BACK: NoticeKind.ROLLED_BACK,
    Result.FAILED: NoticeKind.RUN_FAILED,
}


def kinds_of(event: CaseEvent) -> tuple[NoticeKind, ...]:
    """What an event is to people; empty: nothing they need to be told of."""
    match event:
        case Incident():
            return _of_incident(event)
        case Decision(verdict=Verdict.ASK):
            unsure = event.reason == "below-threshold"
            return (NoticeKind.ASK, NoticeKind.LOW_CONFIDENCE) if unsure else (NoticeKind.ASK,)
        case Decision(verdict=Verdict.EXECUTE, dry_run=False):
            return (NoticeKind.ACTING,)
        case Outcome(dry_run=False) if event.result in _RESULTS:
            return (_RESULTS[event.result],)
        case Prediction(revision=1):
            return (NoticeKind.PREDICTION,)
        case RouteChanged():
            return (NoticeKind.FAILOVER,)
        case Message():
            return (NoticeKind.MESSAGE,)
    return ()


def _of_incident(event: Incident) -> tuple[NoticeKind, ...]:
    if event.silenced or event.transition is Transition.EVIDENCE:
        return ()
    ended = event.transition is Transition.RESOLVED
    kind = NoticeKind.INCIDENT_RESOLVED if ended else NoticeKind.INCIDENT_OPENED
    return (NoticeKind.STORM, kind) if event.component.startswith(STORM_PREFIX) else (kind,)


async def tell(event: CaseEvent, unit: Unit, packs: PackBook) -> None:
    """Writes one notice for each channel that the pack's rules lead to. Called once an event."""
    kinds = kinds_of(event)
    pack = _pack_of(event, packs) if kinds else None
    if pack is None or not pack.notify.channels:
        return
    notice = await _notice(event, kinds, unit)
    body = NOTICE.dump_python(notice, mode="json")
    rows: list[dict[str, object]] = [
        {
            "id": uuid5(event.id, f"{pack.pack}/{channel}"),
            "event_id": event.id,
            "pack": pack.pack,
            "channel": channel,
            "component": event.component,
            "case_id": event.case_id,
            "body": timeline.storable(body),
            "state": notices.WAITING,
            "batch": None,
            "attempts": 0,
            "due_at": unit.now,
            "created_at": unit.now,
            "sent_at": None,
            "error": "",
        }
        for channel in channels_for(notice, pack.notify)
    ]
    if rows:
        await notices.add(unit.session, rows)


def _pack_of(event: CaseEvent, packs: PackBook) -> Pack | None:
    placed = packs.component(event.component)
    if placed is not None:
        return placed.pack
    applied = packs.packs.get(event.component.removeprefix(STORM_PREFIX))
    return applied.pack if applied is not None and event.component.startswith(STORM_PREFIX) else None


async def _notice(event: CaseEvent, kinds: tuple[NoticeKind, ...], unit: Unit) -> Notice:
    moment = narrate(event)
    question = None
    if isinstance(event, Decision) and event.verdict is Verdict.ASK:
        playbook = event.plan.playbook if event.plan else ""
        question = Question(event.decision_id, event.revision, playbook, event.expires_at)
    return Notice(
        event_id=event.id,
        case_id=event.case_id,
        component=event.component,
        kinds=kinds,
        severity=await _severity(event, unit),
        at=event.at,
        title=moment.title if moment else kinds[0].value,
        lines=_bounded(moment.lines) if moment else (),
        question=question,
        channel=event.channel if isinstance(event, Message) else None,
    )


def _bounded(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line[:500] for line in lines)[:10]


async def _severity(event: CaseEvent, unit: Unit) -> Severity:
    """Its own, or that of the incident it belongs to; what failed needs somebody now."""
    if isinstance(event, Incident | Message):
        return event.severity
    if isinstance(event, Outcome) and event.result is Result.FAILED:
        return Severity.CRITICAL
    incident = await timeline.newest(unit.session, "incident", str(event.case_id))
    return Severity(str(incident["severity"])) if incident else Severity.WARNING
