"""The application: routers, the shape of refusals, headers, and the description of it all."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.handlers.http import (
    act,
    admin,
    alerts,
    decisions,
    healing,
    learning,
    live,
    logs,
    notices,
    observe,
    otlp,
    packs,
    playbooks,
    recordings,
    reports,
    schemas,
    silences,
    situations,
    slack,
    thresholds,
    trust,
)
from services.gateway.handlers.http.deps import Deps
from services.gateway.handlers.http.ingest import alertmanager, cloudevents, remote_write
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES, REPORT_PATHS
from services.gateway.handlers.http.problems import (
    MAX_BODY_BYTES,
    MEDIA_TYPE,
    Problem,
    add_problem_handlers,
    problem_response,
    too_large,
)
from services.gateway.store import figures
from shared import telemetry
from shared.bus.delivery import is_infrastructure

DESCRIPTION = """\
Homeostat's HTTP door: what is watched, what was seen, concluded, decided and done, and the answers of people to it.

Every path but `/livez`, `/readyz` and Slack's own, whose requests are signed, needs a token (`Authorization: Bearer …`)
of a role: `viewer` reads, `sender` reports, `operator` acts, `admin` also manages packs and tokens. Answers come as
`{"status": "success", "data": …}`, lists with `next_cursor`; everything else is `application/problem+json` with what,
where and how to mend it.
"""
_TAGS: list[dict[str, Any]] = [
    {"name": "observe", "description": "Looking: any role."},
    {"name": "ingest", "description": "Reporting: senders. What Prometheus, Alertmanager and others send as they are."},
    {"name": "act", "description": "Acting: operators. All goes through the decider; nothing is done behind its back."},
    {"name": "packs", "description": "What is in Homeostat's care, and how."},
    {"name": "administer", "description": "Tokens, audit, messages that could not be handled."},
    {"name": "health", "description": "For load balancers and Kubernetes: no token."},
]
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that metrics name: a stranger may send any word as a method."""
_PROBLEM = {"model": Problem, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def create_api(deps: Deps | None = None, version: str = "1") -> FastAPI:
    """The application; without `deps` it can only describe itself."""
    app = FastAPI(
        title="Homeostat",
        version=version,
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        openapi_tags=_TAGS,
        generate_unique_id_function=_operation_id,
        max_body_size=MAX_BODY_BYTES,
        responses={"4XX": {**_PROBLEM, "description": "Refused."}, "5XX": {**_PROBLEM, "description": "Failed."}},
    )
    app.state.deps = deps
    add_problem_handlers(app)
    _add_health(app)
    for router in (
        situations.router,
        observe.router,
        logs.router,
        alerts.router,
        reports.router,
        act.router,
        silences.router,
        notices.router,
        slack.router,
        packs.router,
        playbooks.router,
        healing.router,
        live.router,
        recordings.router,
        admin.router,
    ):
        app.include_router(router)
    for router in (decisions.router, learning.router, thresholds.router, trust.router):
        app.include_router(router)
    for router in (remote_write.router, alertmanager.router, cloudevents.router, otlp.router):
        app.include_router(router)
    return app


def guarded_api(deps: Deps, version: str = "1") -> ASGIApp:
    """The application as it is served."""
    return Guard(create_api(deps, version))


def openapi_document(version: str = "1") -> dict[str, Any]:
    """The API's description (OpenAPI 3.1), as it is committed under `contracts/`."""
    return create_api(version=version).openapi()


def _operation_id(route: APIRoute) -> str:
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Guard:
    """Turns away what is too large before reading it, times the rest, and keeps browsers from making more of an
    answer than it is.

    A body without a length in its headers is cut off by `max_body_size` while it is read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                # Until the answer begins: a live stream has no end to wait for.
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                labels = (method, route, str(message["status"]))
                telemetry.HTTP_SECONDS.labels(*labels).observe(time.perf_counter() - started)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif int(Headers(scope=scope).get("content-length", "0")) > (most := _largest_body(scope["path"])):
            await problem_response(Request(scope), too_large(most))(scope, receive, send_hardened)
        else:
            await self._app(scope, receive, send_hardened)


def _largest_body(path: str) -> int:
    return MAX_REPORT_BYTES if path.startswith(REPORT_PATHS) else MAX_BODY_BYTES


def _add_health(app: FastAPI) -> None:
    @app.get("/livez", tags=["health"])
    async def livez() -> schemas.Live:
        """This process serves; says nothing of what it depends on."""
        return schemas.Live(live=True)

    @app.get("/readyz", tags=["health"], responses={503: {"model": schemas.Ready}})
    async def readyz(request: Request) -> Response:
        """The database and the bus are there."""
        deps: Deps = request.app.state.deps
        problems = [] if deps.bus.connected else ["NATS is not connected"]
        try:
            async with deps.units.begin() as unit:
                await figures.ping(unit.session)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            problems.append(f"PostgreSQL: {type(error).__name__}")
        ready = schemas.Ready(ready=not problems, problems=problems)
        return JSONResponse(ready.model_dump(), 503 if problems else 200)
