"""Incidents as people see them: grouped into situations."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.gateway.domain.situations import STORM, Seen, Situation, situations
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Deps, Viewer, Wired
from services.gateway.handlers.http.problems import not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import Session, timeline
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Diagnosis

router = APIRouter()

LOOKED_AT = 500
"""Newest incidents that are grouped: what belongs together began within a minute."""


@router.get("/api/situations", tags=["observe"])
async def list_situations(
    deps: Wired,
    _bearer: Viewer,
    only_open: Annotated[bool, Query(alias="open", description="Only with an open incident.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Success[list[schemas.SituationInfo]]:
    """Incidents that belong together by time, by who calls whom and by likeness, newest first. Independent failures
    are never put together."""
    async with deps.units.begin() as unit:
        incidents = await _newest(unit.session)
        found = [_info(one, incidents) for one in await _grouped(deps, unit.session, incidents)]
    return Success(data=[one for one in found if not only_open or one.status == "open"][:limit])


async def situation_of(deps: Deps, session: Session, incident_id: UUID) -> list[Incident]:
    """The incidents of one situation. Raises ApiError when there is none with this incident."""
    incidents = await _newest(session)
    for one in await _grouped(deps, session, incidents):
        if str(incident_id) in one.members:
            return [incidents[name] for name in one.members]
    raise not_found("situation", str(incident_id), "give the id of a recent incident: see /api/situations")


async def _newest(session: Session) -> dict[str, Incident]:
    page = await timeline.page(session, "incident", LOOKED_AT)
    found = [Incident.model_validate(body) for body in page.bodies]
    return {str(one.case_id): one for one in found}


async def _grouped(deps: Deps, session: Session, incidents: dict[str, Incident]) -> list[Situation]:
    diagnoses = await timeline.newest_of_kind(session, "diagnosis", list(incidents))
    symptoms = {key: Diagnosis.model_validate(body).symptom_of for key, body in diagnoses.items()}
    seen = [_seen(deps, one, symptoms.get(key)) for key, one in incidents.items()]
    return situations(seen, deps.packs.callees_of)


def _seen(deps: Deps, one: Incident, symptom_of: UUID | None) -> Seen:
    placed = deps.packs.component(one.component)
    applied = deps.packs.packs.get(one.labels.get("pack", "")) if one.pattern == STORM else None
    return Seen(
        id=str(one.case_id),
        component=one.component,
        pattern=one.pattern,
        opened_at=one.opened_at,
        resolved_at=one.resolved_at,
        symptom_of=str(symptom_of) if symptom_of else None,
        group=(placed.component.group or "") if placed else "",
        storm_of=tuple(applied.pack.components) if applied else (),
    )


def _info(one: Situation, incidents: dict[str, Incident]) -> schemas.SituationInfo:
    members = [incidents[name] for name in one.members]
    return schemas.SituationInfo(
        group_id=UUID(one.id),
        status="open" if any(each.is_open for each in members) else "resolved",
        priority=min((each.priority for each in members if each.priority), default=""),
        components=list(dict.fromkeys(each.component for each in members)),
        incidents=members,
    )
