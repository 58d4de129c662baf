"""Looking: what components keep logging."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.gateway.handlers.http.deps import Viewer, Wired
from services.gateway.handlers.http.schemas import Listing
from shared.contracts.base import Token
from shared.contracts.detector import LogPattern, LogPatterns, LogPatternsRequest

router = APIRouter()


@router.get("/api/logs/patterns", tags=["observe"])
async def list_log_patterns(
    deps: Wired,
    _bearer: Viewer,
    component: Annotated[Token | None, Query(description="Only of this component.")] = None,
    errors_only: Annotated[bool, Query(description="Only patterns that had error lines.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Listing[LogPattern]:
    """What components keep logging, the worst first: how often, what it is about, an example and the lines around."""
    asked = LogPatternsRequest(component=component, errors_only=errors_only, limit=limit)
    return Listing(data=list((await deps.bus.request("detector", "log-patterns", asked, LogPatterns)).patterns))
