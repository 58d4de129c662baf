"""Every refusal and failure as `application/problem+json` (RFC 9457), saying what, where and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from shared.bus import BusRequestError
from shared.bus.delivery import is_infrastructure
from shared.packs.problems import PackError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
MAX_BODY_BYTES = 1_048_576


class Detail(BaseModel):
    """One of several things that are wrong."""

    where: str = Field(description="Place in the request: `body.component`, or file, line and column of a pack.")
    message: str
    remedy: str = ""
    line: int = 0
    column: int = 0


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    type: str = Field(default="about:blank", description="Name of the kind of problem; stable.")
    title: str
    status: int
    detail: str
    remedy: str = ""
    instance: str = ""
    errors: list[Detail] = []


class ApiError(Exception):
    """Ends a request with a problem. `kind` is stable for programs, the texts are for people."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        remedy: str = "",
        errors: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
        self.errors = list(errors)
        self.headers = dict(headers or {})


def not_found(what: str, name: str, remedy: str) -> ApiError:
    return ApiError(404, "not-found", f"there is no {what} {name!r}", remedy)


def too_large(most: int = MAX_BODY_BYTES) -> ApiError:
    return ApiError(413, "too-large", f"the body is larger than {most} bytes", "send less at once")


def problem_response(request: Request, error: ApiError) -> JSONResponse:
    problem = Problem(
        type=f"urn:homeostat:problem:{error.kind}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        remedy=error.remedy,
        instance=request.url.path,
        errors=error.errors,
    )
    return JSONResponse(problem.model_dump(), error.status, headers=error.headers, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Nothing leaves the API but problems and answers."""

    async def api_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return problem_response(request, error)

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem_response(request, _of_http(request, error))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = [
            Detail(where=".".join(map(str, problem["loc"])), message=problem["msg"]) for problem in error.errors()[:50]
        ]
        said = f"{len(errors)} {'part' if len(errors) == 1 else 'parts'} of the request can't be used"
        remedy = "see `errors`, and the request's shape in /api/openapi.json"
        return problem_response(request, ApiError(422, "invalid-request", said, remedy, errors))

    async def bad_pack(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PackError)
        return problem_response(request, pack_problem(error))

    async def bus_failed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BusRequestError)
        remedy = "look at /api/autonomous/system-state for what is running, then try again"
        return problem_response(request, ApiError(502, "service-refused", str(error), remedy))

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        if is_infrastructure(error):
            log.warning("request failed: a dependency is away", path=request.url.path, error=str(error))
            remedy = "see /readyz; the request changed nothing, so try it again later"
            away = ApiError(503, "unavailable", "the database or the bus is away", remedy, headers={"Retry-After": "2"})
            return problem_response(request, away)
        log.error("request failed", path=request.url.path, exc_info=error)
        remedy = "look for this path in the gateway's log"
        return problem_response(request, ApiError(500, "internal", "an error of the gateway itself", remedy))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(PackError, bad_pack)
    app.add_exception_handler(BusRequestError, bus_failed)
    app.add_exception_handler(Exception, unexpected)


def _of_http(request: Request, error: HTTPException) -> ApiError:
    match error.status_code:
        case 404:
            remedy = "see /api/openapi.json for the paths there are"
            return ApiError(404, "not-found", f"there is nothing at {request.url.path}", remedy)
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            remedy = f"use {allowed}" if allowed else "see /api/openapi.json"
            return ApiError(
                405, "wrong-method", f"{request.method} is not for this path", remedy, headers=error.headers
            )
        case 413:
            return too_large()
    return ApiError(error.status_code, "refused", str(error.detail), headers=error.headers)


def pack_problem(error: PackError) -> ApiError:
    errors = [
        Detail(where=p.where, message=p.message, remedy=p.remedy, line=p.line, column=p.column)
        for p in error.problems[:200]
    ]
    count = len(error.problems)
    said = f"the pack has {count} {'problem' if count == 1 else 'problems'}"
    return ApiError(422, "invalid-pack", said, "mend what `errors` lists", errors)
