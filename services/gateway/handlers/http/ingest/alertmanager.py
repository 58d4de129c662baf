"""Alerts: Alertmanager's webhook, and Alertmanager's own API, so that Prometheus may point straight here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway.domain.ingest.alerts import (
    SOURCE,
    Alerts,
    IncidentSeen,
    incidents,
    read_alerts,
    read_webhook,
)
from services.gateway.handlers.http.deps import Deps, Sender, Wired
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES, publish, read_body, room
from services.gateway.handlers.http.problems import ApiError, Detail
from shared import telemetry
from shared.contracts.base import Severity
from shared.contracts.ingest import ExternalIncident

router = APIRouter(tags=["ingest"], max_body_size=2 * MAX_REPORT_BYTES)

WEBHOOK, DIRECT = "alertmanager-webhook", "alertmanager-v2"
MAX_PROBLEMS = 50


def _body(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


@router.post(
    "/api/v1/alertmanager/webhook",
    response_class=Response,
    openapi_extra=_body("What Alertmanager posts, version 4.", {"type": "object"}),
)
async def take_alertmanager_webhook(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes the alerts of Alertmanager's webhook, version 4, as incidents of other systems."""
    return await _take(deps, request, WEBHOOK, read_webhook)


@router.post(
    "/api/v2/alerts",
    response_class=Response,
    openapi_extra=_body("What Prometheus posts to an Alertmanager.", {"type": "array", "items": {"type": "object"}}),
)
async def take_alerts(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes alerts as Alertmanager does, API v2: Prometheus can name Homeostat among its Alertmanagers."""
    return await _take(deps, request, DIRECT, read_alerts)


async def _take(deps: Deps, request: Request, protocol: str, read: Callable[[bytes], list[object]]) -> Response:
    async with room(deps):
        body = await read_body(request)
        now = deps.clock()
        alerts = await asyncio.to_thread(lambda: incidents(read(body), deps.components, now))
        await publish(deps, [_event(seen) for seen in alerts.incidents])
    telemetry.REPORTED.labels(protocol, "incident").inc(len(alerts.incidents))
    telemetry.REPORTED_LEFT_OUT.labels(protocol, "no-incident").inc(alerts.passed_over)
    if alerts.problems:
        raise _partly_refused(protocol, alerts)
    return Response(status_code=200)


def _event(seen: IncidentSeen) -> ExternalIncident:
    return ExternalIncident(
        id=seen.id,
        at=seen.at,
        component=seen.component,
        source=SOURCE,
        external_id=seen.external_id,
        status="firing" if seen.firing else "resolved",
        severity=Severity.CRITICAL if seen.critical else Severity.WARNING,
        pattern=seen.pattern,
        summary=seen.summary,
        labels=dict(seen.labels),
        expires_at=seen.expires_at,
    )


def _partly_refused(protocol: str, alerts: Alerts) -> ApiError:
    count = len(alerts.problems)
    telemetry.REPORTED_LEFT_OUT.labels(protocol, "malformed").inc(count)
    said = f"{count} {'alert was' if count == 1 else 'alerts were'} refused, the others taken: {alerts.problems[0]}"
    errors = [
        Detail(where=where, message=message)
        for where, _, message in (problem.partition(": ") for problem in alerts.problems[:MAX_PROBLEMS])
    ]
    return ApiError(400, "alerts-refused", said, "mend them at the sender", errors)
