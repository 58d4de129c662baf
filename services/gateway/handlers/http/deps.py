"""What every request may use, and the door: who asks, and whether that is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import JsonValue

from services.gateway.domain.access import Refusal, Role, allows, token_hash
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.ingest.seen import SeenSeries
from services.gateway.domain.otlp.memory import OtlpMemory
from services.gateway.domain.pages import Cursor, CursorError
from services.gateway.domain.throttle import Throttle
from services.gateway.handlers.feed import Feed
from services.gateway.handlers.http.problems import ApiError
from services.gateway.handlers.state import Knowing
from services.gateway.store import access
from services.gateway.store.access import Bearer, Deed
from shared.bus import Bus
from shared.outbox import Unit, Units
from shared.packs.book import PackBook

REFUSALS_PER_WINDOW = 30
REFUSAL_WINDOW_S = 10.0
REPORTS_AT_ONCE = 8
"""Reports of other systems worked on at the same time; further ones wait, unread: it bounds what they may take."""


@dataclass
class Deps:
    """What the API works with; made by `app.py`."""

    units: Units
    bus: Bus
    packs: PackBook
    knowing: Knowing
    feed: Feed
    clock: Callable[[], datetime]
    ids: Callable[[], UUID]
    entropy: Callable[[int], bytes]
    refusals: Throttle = field(default_factory=lambda: Throttle(REFUSALS_PER_WINDOW, REFUSAL_WINDOW_S))
    reports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REPORTS_AT_ONCE))
    components: ComponentRule = field(default_factory=ComponentRule)
    seen: SeenSeries = field(default_factory=SeenSeries)
    otlp: OtlpMemory = field(default_factory=OtlpMemory)
    started_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.clock()


def deps_of(request: Request) -> Deps:
    """The dependencies that the application was made with."""
    deps = request.app.state.deps
    assert isinstance(deps, Deps)
    return deps


Wired = Annotated[Deps, Depends(deps_of)]


# ---- the door

_scheme = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of role viewer, sender, operator or admin: `Authorization: Bearer hs_…`.",
)
_REMEDIES = {
    Refusal.NO_TOKEN: "send `Authorization: Bearer <token>`",
    Refusal.UNKNOWN_TOKEN: "use a token that an admin made with `POST /api/tokens`",
    Refusal.EXPIRED_TOKEN: "have an admin make a new one with `POST /api/tokens`",
}
_SAID = {
    Refusal.NO_TOKEN: "this path needs a token",
    Refusal.UNKNOWN_TOKEN: "the token is not known, or was revoked",
    Refusal.EXPIRED_TOKEN: "the token has expired",
}


def _needs(role: Role) -> Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Bearer]]:
    async def check(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]
    ) -> Bearer:
        deps = deps_of(request)
        if given is None:
            raise await _refuse(deps, request, Refusal.NO_TOKEN, None, role)
        async with deps.units.begin() as unit:
            bearer = await access.bearer(unit.session, token_hash(given.credentials))
            now = unit.now
        if bearer is None:
            raise await _refuse(deps, request, Refusal.UNKNOWN_TOKEN, None, role)
        if bearer.expires_at is not None and bearer.expires_at <= now:
            raise await _refuse(deps, request, Refusal.EXPIRED_TOKEN, bearer, role)
        if not allows(bearer.role, role):
            raise await _refuse(deps, request, Refusal.ROLE_TOO_LOW, bearer, role)
        return bearer

    return check


Viewer = Annotated[Bearer, Depends(_needs(Role.VIEWER))]
Sender = Annotated[Bearer, Depends(_needs(Role.SENDER))]
Operator = Annotated[Bearer, Depends(_needs(Role.OPERATOR))]
Admin = Annotated[Bearer, Depends(_needs(Role.ADMIN))]


async def _refuse(deps: Deps, request: Request, reason: Refusal, bearer: Bearer | None, needed: Role) -> ApiError:
    status = 403 if reason == Refusal.ROLE_TOO_LOW else 401
    held_back = deps.refusals.pass_at(deps.clock())
    if held_back is not None:
        detail: dict[str, JsonValue] = {"reason": reason.value, "needed": needed.value}
        if request.client:
            detail["from"] = request.client.host
        if held_back:
            detail["not_written_before"] = held_back
        async with deps.units.begin() as unit:
            await access.write_audit(unit.session, _deed(deps, request, bearer, "refused", status, "", detail))
    if reason == Refusal.ROLE_TOO_LOW:
        assert bearer is not None
        said = f"the token {bearer.name!r} is of role {bearer.role.value}; this needs {needed.value}"
        return ApiError(status, reason.value, said, f"use a token of role {needed.value}")
    return ApiError(status, reason.value, _SAID[reason], _REMEDIES[reason], headers={"WWW-Authenticate": "Bearer"})


# ---- audit


def _deed(
    deps: Deps,
    request: Request,
    bearer: Bearer | None,
    result: str,
    status: int,
    target: str,
    detail: dict[str, JsonValue],
) -> Deed:
    return Deed(
        id=deps.ids(),
        at=deps.clock(),
        actor=bearer.name if bearer else "",
        role=bearer.role.value if bearer else "",
        action=f"{request.method} {request.url.path}"[:500],
        target=target,
        result=result,
        status=status,
        detail=detail,
    )


async def audit(
    unit: Unit, deps: Deps, request: Request, bearer: Bearer, target: str, detail: dict[str, JsonValue]
) -> None:
    """Writes in the transaction of the deed itself what was done."""
    await access.write_audit(unit.session, _deed(deps, request, bearer, "done", 200, target, detail))


@asynccontextmanager
async def audited(
    deps: Deps, request: Request, bearer: Bearer, target: str, detail: Mapping[str, str]
) -> AsyncIterator[None]:
    """For what another service does: audits the attempt with its end, also when it fails."""
    result, status, said = "done", 200, ""
    try:
        yield
    except ApiError as error:
        result, status, said = "refused" if error.status < 500 else "failed", error.status, error.detail
        raise
    except Exception as error:
        result, status, said = "failed", 502, str(error)
        raise
    finally:
        async with deps.units.begin() as unit:
            deed = _deed(deps, request, bearer, result, status, target, {**detail, **({"said": said} if said else {})})
            await access.write_audit(unit.session, deed)


# ---- pages


@dataclass(frozen=True, slots=True)
class Paging:
    limit: int
    cursor: Cursor | None


def paging(
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many entries.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the page before; none for the first page.")
    ] = None,
) -> Paging:
    """A page of a list; a cursor that is not ours is refused."""
    if cursor is None:
        return Paging(limit, None)
    try:
        return Paging(limit, Cursor.decode(cursor))
    except CursorError:
        remedy = "use `next_cursor` of an answer as it is, or none for the first page"
        raise ApiError(400, "bad-cursor", "this cursor is not one of ours", remedy) from None


Paged = Annotated[Paging, Depends(paging)]
