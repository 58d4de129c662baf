"""Telemetry as it came in, to be kept: for a regression test of a failure, or to look at it elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from services.gateway.handlers.http.deps import Operator, Wired
from services.gateway.handlers.http.problems import ApiError
from shared.bus.streams import INGEST
from shared.contracts.base import Token

router = APIRouter(tags=["observe"])

KEPT = ("metrics", "logs", "checks", "changes", "incidents")
LONGEST = timedelta(days=2)
"""As long as the stream keeps anything."""
_OWN = frozenset({"id", "component"})
"""What a line need not repeat: the identity of a message, and what its subject says."""


@router.get(
    "/api/recordings",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": 'One message a line, `{"subject": …, "at": …, "data": {…}}`, in the order they came in.',
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
)
async def read_recording(
    deps: Wired,
    _bearer: Operator,
    since: Annotated[AwareDatetime, Query(description="From when on, with a time zone.")],
    until: Annotated[AwareDatetime | None, Query(description="Until when; by default now.")] = None,
    component: Annotated[list[Token] | None, Query(description="Only of these components.")] = None,
) -> StreamingResponse:
    """Everything that probes and other systems reported in a stretch of time, as it was on the bus."""
    end = until or deps.clock()
    if not since < end or end - since > LONGEST:
        raise ApiError(
            422,
            "bad-stretch",
            f"from {since.isoformat()} to {end.isoformat()} is not a stretch of time that can be kept",
            f"let `since` lie before `until`, by at most {LONGEST.days} days",
        )
    subjects = [f"ingest.{kind}.v1.*.{name}" for kind in KEPT for name in component or ["*"]]

    async def lines() -> AsyncIterator[str]:
        async for message in deps.bus.stored(INGEST, subjects, since, end):
            _, kind, version, _, name = message.subject.split(".")
            line = {
                "subject": f"ingest.{kind}.{version}.{name}",
                "at": message.metadata.timestamp.isoformat(),
                "data": {key: value for key, value in json.loads(message.data).items() if key not in _OWN},
            }
            yield json.dumps(line, separators=(",", ":")) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")
