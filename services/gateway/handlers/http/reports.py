"""Reports in plain language, and how far diagnoses can be trusted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel

from services.gateway.domain.incident_report import as_markdown
from services.gateway.handlers.http.deps import Viewer, Wired
from services.gateway.handlers.http.observe import resolve
from services.gateway.handlers.http.problems import not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.handlers.narrate import RECORDED
from services.gateway.handlers.reporter import write
from services.gateway.store import timeline
from shared.contracts.diagnoser import Calibration, CalibrationRequest

router = APIRouter()


class ReportSection(BaseModel):
    title: str
    lines: list[str]


class IncidentReport(BaseModel):
    """What happened, to whom, why, what was done and what came of it, in sentences made from recorded facts."""

    incident_id: str
    at: AwareDatetime
    title: str
    summary: str
    sections: list[ReportSection]
    markdown: str


@router.get("/api/incidents/{incident}/report", tags=["observe"])
async def get_incident_report(
    deps: Wired,
    _bearer: Viewer,
    incident: Annotated[str, Path(description="An incident's id, the beginning of one, or `last`.")],
) -> Success[IncidentReport]:
    """The report of an incident in plain language."""
    async with deps.units.begin() as unit:
        case_id = await resolve(unit.session, incident)
        rows = await timeline.story(unit.session, case_id)
        now = unit.now
    events = [contract.model_validate(row.body) for row in rows if (contract := RECORDED.get(row.subject))]
    report = write(events)
    if report is None:
        raise not_found("incident", incident, "see /api/incidents for those there are")
    return Success(
        data=IncidentReport(
            incident_id=str(case_id),
            at=now,
            title=report.title,
            summary=report.summary,
            sections=[ReportSection(title=one.title, lines=list(one.lines)) for one in report.sections],
            markdown=as_markdown(report),
        )
    )


@router.get("/api/diagnosis/calibration", tags=["observe"])
async def get_calibration(
    deps: Wired,
    _bearer: Viewer,
    days: Annotated[float, Query(gt=0, le=3_650, description="How far back.")] = 365,
) -> Success[Calibration]:
    """How often diagnoses turned out right, by how sure they were: measured on the outcomes of repairs."""
    asked = CalibrationRequest(days=days)
    return Success(data=await deps.bus.request("diagnoser", "calibration", asked, Calibration))
