"""Administering: tokens, the audit, and messages that could not be handled."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import JsonValue, StringConstraints

from services.gateway.domain.access import Role, new_token, permissions_of, token_hash
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Admin, Operator, Viewer, Wired, audit, audited
from services.gateway.handlers.http.problems import not_found
from services.gateway.handlers.http.schemas import Listing, Success
from services.gateway.store import access, timeline
from services.gateway.store.tables import CHAINED, TokenRow
from shared.bus import dlq

router = APIRouter(tags=["administer"])

BODY_SHOWN_CHARS = 2_000
REPLAY_TIMEOUT_S = 10.0
KeptHead = Annotated[str, StringConstraints(pattern=r"^(audit|timeline):[0-9]{1,18}:[0-9a-f]{64}$")]


# ---- tokens


@router.post("/api/tokens", status_code=201)
async def create_token(
    deps: Wired, request: Request, bearer: Admin, body: schemas.TokenBody
) -> Success[schemas.NewToken]:
    """Makes a token. It is shown in this answer and never again."""
    token, token_id = new_token(deps.entropy(32)), deps.ids()
    async with deps.units.begin() as unit:
        expires_at = unit.now + timedelta(days=body.expires_in_days) if body.expires_in_days else None
        hashed = token_hash(token)
        await access.add_token(
            unit.session, token_id, body.name, body.role, hashed, unit.now, bearer.name, expires_at, body.permissions
        )
        made: dict[str, JsonValue] = {"role": body.role.value, "token_id": str(token_id)}
        await audit(unit, deps, request, bearer, body.name, {**made, "permissions": list(body.permissions)})
        now = unit.now
    return Success(
        data=schemas.NewToken(
            id=token_id,
            name=body.name,
            role=body.role,
            permissions=list(permissions_of(body.role, body.permissions)),
            created_at=now,
            created_by=bearer.name,
            expires_at=expires_at,
            token=token,
        )
    )


@router.get("/api/tokens")
async def list_tokens(deps: Wired, _bearer: Admin) -> Success[list[schemas.TokenInfo]]:
    """Tokens that open something, without their secrets."""
    async with deps.units.begin() as unit:
        rows = await access.tokens(unit.session)
    return Success(data=[_info(row) for row in rows])


def _info(row: TokenRow) -> schemas.TokenInfo:
    return schemas.TokenInfo(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        permissions=list(permissions_of(Role(row.role), row.permissions)),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
    )


@router.delete("/api/tokens/{token_id}")
async def revoke_token(deps: Wired, request: Request, bearer: Admin, token_id: UUID) -> Success[schemas.Message]:
    """Revokes a token at once."""
    async with deps.units.begin() as unit:
        if not await access.revoke(unit.session, token_id, unit.now):
            raise not_found("token", str(token_id), "see /api/tokens")
        await audit(unit, deps, request, bearer, str(token_id), {})
    return Success(data=schemas.Message(message=f"token {token_id} is revoked"))


# ---- audit


@router.get("/api/audit")
async def list_audit(
    deps: Wired,
    _bearer: Admin,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=1, description="Only entries with lower numbers.")] = None,
) -> Listing[schemas.AuditEntry]:
    """What people did and were refused, newest first."""
    async with deps.units.begin() as unit:
        rows = await access.audit_before(unit.session, before, limit)
    entries = [
        schemas.AuditEntry(
            seq=row.seq,
            at=row.at,
            actor=row.actor,
            role=row.role,
            action=row.action,
            target=row.target,
            result=row.result,
            status=row.status,
            detail=row.detail,
        )
        for row in rows
    ]
    return Listing(data=entries, next_cursor=str(rows[-1].seq) if len(rows) == limit else None)


@router.get("/api/audit/verify")
async def verify_audit(
    deps: Wired, _bearer: Admin, kept: Annotated[list[KeptHead] | None, Query(max_length=20)] = None
) -> Success[schemas.Verified]:
    """Recomputes the hash chains of the audit and the timeline and names the first row that doesn't fit. `kept`: heads
    of before, which must still be in them."""
    async with deps.units.begin() as unit:
        found = {table: await timeline.first_broken_link(unit.session, table) for table in CHAINED}
        for table, _, link in (one.partition(":") for one in kept or ()):
            if not await timeline.has_link(unit.session, table, link) and found[table] is None:
                found[table] = int(link.partition(":")[0])
        heads = {table: await timeline.head(unit.session, table) for table in CHAINED}
    broken = {table: seq for table, seq in found.items() if seq is not None}
    return Success(data=schemas.Verified(intact=not broken, first_broken=broken, heads=heads))


# ---- dead letters


@router.get("/api/dlq")
async def list_dead_letters(
    deps: Wired, _bearer: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Listing[schemas.DeadLetterView]:
    """Messages that nobody could handle, newest first, each with its reason."""
    letters = await dlq.newest(deps.bus.jetstream, limit)
    return Listing(
        data=[
            schemas.DeadLetterView(
                seq=letter.sequence,
                service=letter.service,
                handler=letter.handler,
                subject=letter.subject,
                reason=letter.reason,
                stored_at=letter.stored_at,
                body=letter.body[:BODY_SHOWN_CHARS].decode(errors="replace"),
            )
            for letter in letters
        ]
    )


@router.post("/api/dlq/{seq}/replay")
async def replay_dead_letter(deps: Wired, request: Request, bearer: Operator, seq: int) -> Success[schemas.Message]:
    """Has a message handled again by the service that could not; it stays here when that fails again."""
    letter = await dlq.read(deps.bus.jetstream, seq)
    if letter is None:
        raise not_found("dead letter", str(seq), "see /api/dlq; another may have replayed it")
    async with audited(deps, request, bearer, str(seq), {"subject": letter.subject, "handler": letter.handler}):
        asked = dlq.Replay(sequence=seq)
        done = await deps.bus.request(letter.service, "dlq-replay", asked, dlq.Replayed, REPLAY_TIMEOUT_S)
    return Success(data=schemas.Message(message=done.reason))
