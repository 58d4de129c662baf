"""Looking: health, incidents, stories, decisions, predictions and figures."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from services.gateway.domain.health import confidence, overall
from services.gateway.domain.story import tell
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Deps, Paged, Viewer, Wired
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Listing, Success
from services.gateway.handlers.http.situations import situation_of
from services.gateway.handlers.narrate import RECORDED, narrate_all
from services.gateway.store import Session, figures, packs, timeline
from services.gateway.store.figures import Tally
from services.gateway.store.tables import PackRow
from services.gateway.store.timeline import Page
from shared.contracts.base import CaseEvent, Token
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import HealthStatus, Incident
from shared.contracts.healer import Outcome, RunProgress
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Moment, Prediction

router = APIRouter()

MAX_SHOWN = 100
"""Entries of one kind in the picture of the whole system."""
RUNNING = ("queued", "planned", "backed-up", "step", "applied", "validating", "rolling-back")
EXPECTED = (Moment.WAIT.value, Moment.QUIET.value, Moment.DEADLINE.value)

Component = Annotated[Token | None, Query(description="Only of this component.")]


def listing[E: CaseEvent](contract: type[E], page: Page) -> Listing[E]:
    """A page of stored bodies as the contract that they are of."""
    entries = [contract.model_validate(body) for body in page.bodies]
    return Listing(data=entries, next_cursor=page.next.encoded() if page.next else None)


# ---- health


@router.get("/api/monitoring/health", tags=["observe"])
async def get_health(deps: Wired, _bearer: Viewer) -> Success[schemas.SystemHealth]:
    """Health of every component in care, and of what Homeostat itself stands on."""
    async with deps.units.begin() as unit:
        return Success(data=await health_now(deps, unit.session))


async def health_now(deps: Deps, session: Session) -> schemas.SystemHealth:
    """Asks the database, to time it; the rest is known."""
    asked = time.perf_counter()
    await figures.ping(session)
    database_ms = (time.perf_counter() - asked) * 1000
    waiting = await timeline.count(session, "decision", [Verdict.ASK])
    components = _component_health(deps)
    worst = HealthStatus(overall(component.status for component in components if component.watched))
    containers = {
        name for applied in deps.packs.packs.values() for name, one in applied.pack.components.items() if one.container
    }
    running = [one for one in components if one.component in containers and one.status == HealthStatus.HEALTHY]
    docker = overall(one.status for one in components if one.component in containers)
    api_ms = (time.perf_counter() - asked) * 1000
    return schemas.SystemHealth(
        overall_status=worst,
        action_required=worst == HealthStatus.CRITICAL or waiting > 0,
        confidence=round(confidence(component.status for component in components if component.watched), 2),
        checks=schemas.Checks(
            database=schemas.DatabaseCheck(status=HealthStatus.HEALTHY, latency_ms=round(database_ms, 2)),
            docker=schemas.DockerCheck(status=HealthStatus(docker), containers_running=len(running)),
            api=schemas.ApiCheck(status=HealthStatus.HEALTHY, response_time_ms=round(api_ms, 2)),
            nats=schemas.NatsCheck(
                status=HealthStatus.HEALTHY if deps.bus.connected else HealthStatus.CRITICAL,
                connected=deps.bus.connected,
            ),
        ),
        components=components,
    )


def _component_health(deps: Deps) -> list[schemas.ComponentHealth]:
    """Every component of the packs in force. One that nobody has reported on is unknown."""
    found = []
    for name, applied in sorted(deps.packs.packs.items()):
        probed = {probe.component for probe in applied.pack.probes}
        for component in applied.pack.components:
            known = deps.knowing.health.get(component)
            found.append(
                schemas.ComponentHealth(
                    component=component,
                    pack=name,
                    # Other systems may report on what no probe looks at.
                    watched=component in probed or (known is not None and known.status != HealthStatus.UNKNOWN),
                    status=known.status if known else HealthStatus.UNKNOWN,
                    since=known.since if known else None,
                    error_count=known.error_count if known else 0,
                    open_incidents=list(known.open_incidents) if known else [],
                    error_budgets=dict(known.error_budgets) if known else {},
                )
            )
    return found


@router.get("/api/autonomous/system-state", tags=["observe"])
async def get_system_state(deps: Wired, _bearer: Viewer) -> Success[schemas.SystemState]:
    """One picture of everything now: health, what is wrong, what is expected, what is being done, who is asked."""
    async with deps.units.begin() as unit:
        session = unit.session
        incidents = await timeline.page(session, "incident", MAX_SHOWN, statuses=["open"])
        predictions = await timeline.page(session, "prediction", MAX_SHOWN, statuses=EXPECTED)
        running = await timeline.page(session, "run", MAX_SHOWN, statuses=RUNNING)
        asked = await timeline.page(session, "decision", MAX_SHOWN, statuses=[Verdict.ASK])
        state = schemas.SystemState(
            at=unit.now,
            health=await health_now(deps, session),
            packs=[pack_summary(row) for row in await packs.heads(session) if row.body is not None],
            open_incidents=[Incident.model_validate(body) for body in incidents.bodies],
            predictions=[Prediction.model_validate(body) for body in predictions.bodies],
            running=[RunProgress.model_validate(body) for body in running.bodies],
            asking=[asking(Decision.model_validate(body)) for body in asked.bodies],
            open_recommendations=await timeline.count(session, "recommendation", ["proposed"]),
        )
    return Success(data=state)


def asking(decision: Decision) -> schemas.Asking:
    return schemas.Asking(
        decision_id=decision.decision_id,
        component=decision.component,
        playbook=decision.plan.playbook if decision.plan else "",
        explanation=decision.explanation,
        expires_at=decision.expires_at,
    )


def pack_summary(row: PackRow) -> schemas.PackSummary:
    body = row.body or {}
    components = body.get("components")
    return schemas.PackSummary(
        pack=row.name,
        version=row.version,
        mode=str(body.get("mode", "")),
        components=len(components) if isinstance(components, dict) else 0,
        applied_at=row.applied_at,
        applied_by=row.applied_by,
        description=str(body.get("description", "")),
        removed=row.body is None,
    )


# ---- incidents and stories


@router.get("/api/incidents", tags=["observe"])
async def list_incidents(
    deps: Wired,
    _bearer: Viewer,
    paged: Paged,
    status: Annotated[Literal["open", "resolved"] | None, Query(description="Only these.")] = None,
    component: Component = None,
    group: Annotated[
        UUID | None, Query(description="Only those that belong to this incident's situation (`/api/situations`).")
    ] = None,
) -> Listing[Incident]:
    """Incidents in their newest state, newest first."""
    async with deps.units.begin() as unit:
        if group is not None:
            members = await situation_of(deps, unit.session, group)
            chosen = [each for each in members if component is None or each.component == component]
            wanted = {"open": True, "resolved": False}.get(status or "")
            return Listing(data=[each for each in chosen if wanted is None or each.is_open is wanted])
        statuses = [status] if status else []
        page = await timeline.page(unit.session, "incident", paged.limit, paged.cursor, statuses, component)
    return listing(Incident, page)


@router.get("/api/incidents/{incident_id}", tags=["observe"])
async def get_incident(deps: Wired, _bearer: Viewer, incident_id: UUID) -> Success[schemas.IncidentStory]:
    """One incident with the decisions about it and what came of them."""
    async with deps.units.begin() as unit:
        body = await timeline.newest(unit.session, "incident", str(incident_id))
        if body is None:
            raise not_found("incident", str(incident_id), "see /api/incidents for those there are")
        decisions = await timeline.newest_of_case(unit.session, "decision", incident_id)
        outcomes = await timeline.newest_of_case(unit.session, "outcome", incident_id)
    return Success(
        data=schemas.IncidentStory(
            incident=Incident.model_validate(body),
            decisions=[Decision.model_validate(one) for one in decisions],
            outcomes=[Outcome.model_validate(one) for one in outcomes],
        )
    )


_PREFIX = re.compile(r"[0-9a-fA-F-]{4,36}")


@router.get("/api/trace/{case}", tags=["observe"])
async def get_trace(
    deps: Wired,
    _bearer: Viewer,
    case: Annotated[str, Path(description="A case's id, the beginning of one (at least 4 digits), or `last`.")],
) -> Success[schemas.Trace]:
    """The whole story of a case over all services: seen, concluded, decided and why, done, and what came of it."""
    async with deps.units.begin() as unit:
        case_id = await resolve(unit.session, case)
        rows = await timeline.story(unit.session, case_id)
    events = [contract.model_validate(row.body) for row in rows if (contract := RECORDED.get(row.subject))]
    if not events:
        raise not_found("case", case, "see /api/incidents, /api/predictions and /api/recommendations")
    began = min((event.opened_at for event in events if isinstance(event, Incident)), default=None)
    told = tell(narrate_all(events), began)
    return Success(
        data=schemas.Trace(
            case_id=case_id,
            case_kind=events[0].case_kind,
            component=events[0].component,
            began_at=min(began or events[0].at, min(event.at for event in events)),
            trace_ids=list(dict.fromkeys(row.trace_id for row in rows if row.trace_id)),
            moments=[
                schemas.StoryMoment(
                    since_start_s=round(one.since_start_s, 3),
                    at=one.moment.at,
                    act=one.moment.act,
                    service=one.moment.service,
                    title=one.moment.title,
                    lines=list(one.moment.lines),
                    event_id=one.moment.id,
                )
                for one in told
            ],
        )
    )


async def resolve(session: Session, case: str) -> UUID:
    """The case that was meant. Raises ApiError when that is none, or several."""
    remedy = "give the id of an incident, prediction, recommendation or request, or `last`"
    if case == "last":
        last = await timeline.last_case(session)
        if last is None:
            raise ApiError(404, "not-found", "nothing has happened yet", "apply a pack, and wait for trouble")
        return last
    if not _PREFIX.fullmatch(case) or len(case.replace("-", "")) > 32:
        raise ApiError(404, "not-found", f"{case!r} is not the beginning of an id", remedy)
    found = await timeline.cases_named(session, case)
    if not found:
        raise not_found("case", case, remedy)
    if len(found) > 1:
        several = ", ".join(str(one) for one in found)
        raise ApiError(409, "ambiguous", f"{case!r} begins several ids: {several}", "give more digits")
    return found[0]


# ---- decisions, predictions, recommendations


@router.get("/api/autonomous/decisions", tags=["observe"])
async def list_decisions(
    deps: Wired,
    _bearer: Viewer,
    paged: Paged,
    verdict: Annotated[Verdict | None, Query(description="Only these.")] = None,
    component: Component = None,
) -> Listing[Decision]:
    """Decisions in their newest revision, newest first; `verdict=ask` are those that wait for a person."""
    async with deps.units.begin() as unit:
        statuses = [verdict.value] if verdict else []
        page = await timeline.page(unit.session, "decision", paged.limit, paged.cursor, statuses, component)
    return listing(Decision, page)


@router.get("/api/predictions", tags=["observe"])
async def list_predictions(
    deps: Wired,
    _bearer: Viewer,
    paged: Paged,
    active: Annotated[bool, Query(description="Only what is still expected.")] = True,
    component: Component = None,
) -> Listing[Prediction]:
    """What is expected to go wrong."""
    async with deps.units.begin() as unit:
        statuses = EXPECTED if active else ()
        page = await timeline.page(unit.session, "prediction", paged.limit, paged.cursor, statuses, component)
    return listing(Prediction, page)


@router.get("/api/recommendations", tags=["observe"])
async def list_recommendations(
    deps: Wired, _bearer: Viewer, paged: Paged, component: Component = None
) -> Listing[Recommendation]:
    """Settings that would be better otherwise."""
    async with deps.units.begin() as unit:
        page = await timeline.page(unit.session, "recommendation", paged.limit, paged.cursor, (), component)
    return listing(Recommendation, page)


# ---- figures


@router.get("/api/statistics", tags=["observe"])
async def get_statistics(
    deps: Wired,
    _bearer: Viewer,
    days: Annotated[float, Query(gt=0, le=365, description="How far back.")] = 30,
) -> Success[schemas.Statistics]:
    """How often repairs helped, and how fast: measured, never estimated."""
    async with deps.units.begin() as unit:
        since = unit.now - timedelta(days=days)
        by_playbook = await figures.tallies(unit.session, "playbook", since)
        by_category = await figures.tallies(unit.session, "category", since)
        incidents = await figures.by_status(unit.session, "incident", since)
        decisions = await figures.by_status(unit.session, "decision", since)
        now = unit.now
    total = sum(one.total for one in by_playbook)
    return Success(
        data=schemas.Statistics(
            since=since,
            total_fixes=total,
            success_rate=sum(one.successes for one in by_playbook) / total if total else None,
            by_type=_by_name(by_playbook),
            by_category=_by_name(by_category),
            incidents=incidents,
            decisions=decisions,
            last_updated=now,
        )
    )


def _by_name(tallies: list[Tally]) -> Mapping[str, schemas.TypeStatistics]:
    return {
        one.name: schemas.TypeStatistics(
            total=one.total,
            successes=one.successes,
            rolled_back=one.rolled_back,
            success_rate=one.successes / one.total,
            detect_to_fix_s=one.detect_to_fix_s,
            detect_to_recovery_s=one.detect_to_recovery_s,
        )
        for one in tallies
    }
