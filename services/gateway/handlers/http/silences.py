"""Silences: who must not be troubled, and until when. What they cover is recorded, and neither told nor healed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import JsonValue

from services.gateway.handlers.events import current_trace_id
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Deps, Operator, Viewer, Wired, audit
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import silences, timeline
from services.gateway.store.tables import SilenceRow
from shared.contracts.gateway import Silence
from shared.outbox import Unit

router = APIRouter()


@router.post("/api/silences", status_code=201, tags=["act"])
async def add_silence(
    deps: Wired, request: Request, bearer: Operator, body: schemas.SilenceBody
) -> Success[schemas.SilenceInfo]:
    """Silences what matches for a while: incidents are still recorded, and nothing is done about them unasked."""
    async with deps.units.begin() as unit:
        await silences.lock(unit.session)
        slot = await silences.free_slot(unit.session, unit.now)
        if slot is None:
            remedy = "end one with DELETE /api/silences/{id}, or let one pattern cover several"
            raise ApiError(409, "too-many-silences", f"there are {silences.MOST} silences already", remedy)
        starts_at = max(body.starts_at or unit.now, unit.now)
        row = SilenceRow(
            slot=slot,
            id=deps.ids(),
            component=body.component,
            pattern=body.pattern,
            labels=dict(body.labels),
            starts_at=starts_at,
            ends_at=starts_at + timedelta(seconds=body.for_s),
            reason=body.reason,
            created_by=bearer.name,
            created_at=unit.now,
        )
        info = _info(row)
        await silences.put(unit.session, row)
        await _tell(deps, unit, row)
        detail: dict[str, JsonValue] = {
            "silence_id": str(row.id),
            "for_s": body.for_s,
            "pattern": body.pattern,
            "reason": body.reason,
        }
        await audit(unit, deps, request, bearer, body.component, detail)
    return Success(data=info)


@router.get("/api/silences", tags=["observe"])
async def list_silences(deps: Wired, _bearer: Viewer) -> Success[list[schemas.SilenceInfo]]:
    """Silences that hold now or will, the first to end first."""
    async with deps.units.begin() as unit:
        return Success(data=[_info(row) for row in await silences.live(unit.session, unit.now)])


@router.delete("/api/silences/{silence_id}", tags=["act"])
async def end_silence(
    deps: Wired, request: Request, bearer: Operator, silence_id: UUID
) -> Success[schemas.SilenceInfo]:
    """Ends a silence now: what it covered and is still wrong is told, and decided."""
    async with deps.units.begin() as unit:
        await silences.lock(unit.session)
        row = await silences.named(unit.session, silence_id, unit.now)
        if row is None:
            raise not_found("silence", str(silence_id), "see /api/silences")
        row.ends_at = unit.now
        row.starts_at = min(row.starts_at, unit.now)
        info = _info(row)
        await _tell(deps, unit, row)
        await audit(unit, deps, request, bearer, row.component, {"silence_id": str(silence_id), "ended": True})
    return Success(data=info)


async def announce_silences(deps: Deps, unit: Unit) -> None:
    """Publishes again what the bus has lost or never got."""
    for row in await silences.live(unit.session, unit.now):
        known = deps.knowing.silences.get(_slot(row))
        if known is None or known.silence_id != str(row.id):
            unit.emit(_event(deps, unit, row))


async def _tell(deps: Deps, unit: Unit, row: SilenceRow) -> None:
    event = _event(deps, unit, row)
    unit.emit(event)
    await timeline.record(unit.session, event, timeline.body_of(event), unit.now, current_trace_id())


def _slot(row: SilenceRow) -> str:
    return f"s{row.slot}"


def _event(deps: Deps, unit: Unit, row: SilenceRow) -> Silence:
    return Silence(
        id=deps.ids(),
        at=unit.now,
        slot=_slot(row),
        silence_id=str(row.id),
        component=row.component,
        pattern=row.pattern,
        labels={name: str(value) for name, value in row.labels.items()},
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        by=row.created_by,
    )


def _info(row: SilenceRow) -> schemas.SilenceInfo:
    return schemas.SilenceInfo(
        id=row.id,
        component=row.component,
        pattern=row.pattern,
        labels={name: str(value) for name, value in row.labels.items()},
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        created_by=row.created_by,
    )
