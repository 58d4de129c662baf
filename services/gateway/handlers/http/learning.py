"""What was learned, and what people may do with it: figures, feedback, insights, the knowledge base."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Admin, Deps, Viewer, Wired, audited
from services.gateway.handlers.http.problems import ApiError
from services.gateway.handlers.http.schemas import Success
from shared.contracts.learner import (
    Export,
    ExportRequest,
    FeedbackRequest,
    Feedbacks,
    Imported,
    ImportRequest,
    Insights,
    InsightsRequest,
    Models,
    ModelsRequest,
    Statistics,
    StatisticsRequest,
    SuggestionQuality,
    SuggestionQualityRequest,
)

router = APIRouter()

TIMEOUT_S = 20.0
LINES_AT_ONCE = 200
Days = Annotated[float, Query(gt=0, le=3_650, description="How far to look back.")]


@router.get("/api/autonomous/learning", tags=["observe"])
async def get_learning(deps: Wired, _bearer: Viewer, days: Days = 365) -> Success[Statistics]:
    """How repairs went: total, successes and time by playbook, the rising curve, and what people answered."""
    asked = StatisticsRequest(days=days)
    return Success(data=await deps.bus.request("learner", "statistics", asked, Statistics, TIMEOUT_S))


@router.get("/api/ml/feedback", tags=["observe"])
async def get_feedback(
    deps: Wired,
    _bearer: Viewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    decision_id: Annotated[UUID | None, Query(description="Only the lessons of this decision.")] = None,
) -> Success[Feedbacks]:
    """The newest lessons, and what detection and prediction were told of themselves: true and false alarms, hits,
    misses and what was prevented, all without anybody having tagged anything."""
    asked = FeedbackRequest(limit=limit, decision_id=decision_id)
    return Success(data=await deps.bus.request("learner", "feedback", asked, Feedbacks, TIMEOUT_S))


@router.get("/api/ml/suggestion-quality", tags=["observe"])
async def get_suggestion_quality(deps: Wired, _bearer: Viewer, days: Days = 90) -> Success[SuggestionQuality]:
    """What became of what was suggested: adopted, refused, answered by nobody; and whether the adopted helped."""
    asked = SuggestionQualityRequest(days=days)
    return Success(data=await deps.bus.request("learner", "suggestion-quality", asked, SuggestionQuality, TIMEOUT_S))


@router.get("/api/ml/models", tags=["observe"])
async def get_learned_models(
    deps: Wired, _bearer: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Success[Models]:
    """Versions of the learner's models: what they were fitted to, how good they were, and which are in force."""
    return Success(data=await deps.bus.request("learner", "models", ModelsRequest(limit=limit), Models, TIMEOUT_S))


# ---- the knowledge base


@router.get("/api/knowledge/insights", tags=["observe"])
async def get_insights(
    deps: Wired, _bearer: Viewer, days: Days = 90, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Success[Insights]:
    """What stands out of all that was learned, in plain words and from counted facts only."""
    asked = InsightsRequest(days=days, limit=limit)
    return Success(data=await deps.bus.request("learner", "insights", asked, Insights, TIMEOUT_S))


@router.get("/api/knowledge/export", tags=["observe"], response_class=StreamingResponse)
async def export_knowledge(deps: Wired, _bearer: Viewer) -> StreamingResponse:
    """All recorded runs as JSON lines, oldest first."""
    first = await deps.bus.request("learner", "export", ExportRequest(), Export, TIMEOUT_S)
    return StreamingResponse(_pages(deps, first), media_type="application/x-ndjson")


async def _pages(deps: Deps, page: Export) -> AsyncIterator[str]:
    """A page at a time, so that a large knowledge base takes no more memory than a small one."""
    while True:
        yield "".join(f"{line}\n" for line in page.lines)
        if page.next is None:
            return
        page = await deps.bus.request("learner", "export", ExportRequest(after=page.next), Export, TIMEOUT_S)


@router.post(
    "/api/knowledge/import",
    tags=["administer"],
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "JSON lines, as the export gives them.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
)
async def import_knowledge(deps: Wired, request: Request, bearer: Admin) -> Success[schemas.KnowledgeImport]:
    """Adds runs that another Homeostat, or this one before, has exported. The same run never counts twice."""
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, "not-text", "the body is not UTF-8 text", "send JSON lines") from error
    lines = text.splitlines()
    report = schemas.KnowledgeImport(added=0, known=0, refused=[])
    async with audited(deps, request, bearer, "knowledge", {"lines": str(len(lines))}):
        for start in range(0, len(lines), LINES_AT_ONCE):
            part = await _import(deps, lines[start : start + LINES_AT_ONCE], bearer.name)
            report.added += part.added
            report.known += part.known
            report.refused += [schemas.RefusedLine(line=start + one.line, reason=one.reason) for one in part.refused]
    return Success(data=report)


async def _import(deps: Deps, lines: list[str], by: str) -> Imported:
    longest = max((len(line) for line in lines), default=0)
    if longest > schemas.LONGEST_LINE:
        remedy = f"one run a line, at most {schemas.LONGEST_LINE} characters"
        raise ApiError(422, "line-too-long", f"a line has {longest} characters", remedy)
    async with asyncio.timeout(TIMEOUT_S):
        return await deps.bus.request(
            "learner", "import", ImportRequest(lines=tuple(lines), by=by), Imported, TIMEOUT_S
        )
