"""CloudEvents: anything the bus takes from outside, for those who speak HTTP and not NATS."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from services.gateway.domain.ingest import cloudevents
from services.gateway.domain.ingest.cloudevents import Kind, Told
from services.gateway.handlers.http.deps import Sender, Wired
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES, publish, read_body, room
from services.gateway.handlers.http.problems import ApiError, Detail
from shared import telemetry
from shared.bus.decode import explain
from shared.contracts.base import ComponentEvent
from shared.contracts.ingest import Change, Check, ExternalIncident, ExternalOutcome, LogBatch, MetricBatch

router = APIRouter(tags=["ingest"], max_body_size=2 * MAX_REPORT_BYTES)

PROTOCOL = "cloudevents"
_CONTRACTS: dict[Kind, type[ComponentEvent]] = {
    Kind.METRICS: MetricBatch,
    Kind.LOGS: LogBatch,
    Kind.CHECKS: Check,
    Kind.CHANGES: Change,
    Kind.INCIDENTS: ExternalIncident,
    Kind.OUTCOMES: ExternalOutcome,
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "CloudEvents 1.0, type `homeostat.ingest.<kind>`: structured, a batch, or with `ce-` headers.",
        "content": {
            cloudevents.STRUCTURED: {"schema": {"type": "object"}},
            cloudevents.BATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.post("/api/v1/events", status_code=204, response_class=Response, openapi_extra=_BODY)
async def take_events(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes metrics, logs, checks, changes, incidents and outcomes as CloudEvents 1.0: all events of a batch, or
    none."""
    async with room(deps):
        body = await read_body(request)
        content_type = request.headers.get("content-type", "")
        headers, now = dict(request.headers), deps.clock()
        events = await asyncio.to_thread(lambda: _events(cloudevents.read(content_type, headers, body), now))
        await publish(deps, [event for _, event in events])
    for kind, _ in events:
        telemetry.REPORTED.labels(PROTOCOL, kind.value).inc()
    return Response(status_code=204)


def _events(told: list[Told], now: datetime) -> list[tuple[Kind, ComponentEvent]]:
    events: list[tuple[Kind, ComponentEvent]] = []
    problems: list[Detail] = []
    for place, one in enumerate(told):
        try:
            events.append((one.kind, _CONTRACTS[one.kind].model_validate({"at": now, **one.fields})))
        except ValidationError as error:
            problems.append(Detail(where=f"events.{place}.data", message=explain(error)))
    if problems:
        telemetry.REPORTED_LEFT_OUT.labels(PROTOCOL, "malformed").inc(len(problems))
        said = f"{len(problems)} of {len(told)} events can't be used; none was taken"
        raise ApiError(
            400, "events-refused", said, "see `errors`, and contracts/asyncapi for the fields", problems[:50]
        )
    return events
