"""Thresholds that the learner proposes: asking changes nothing, applying one makes the pack's next version, and the
former value can be put back."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import JsonValue

from services.gateway.domain.pack_values import own_threshold, with_threshold
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Admin, Deps, Viewer, Wired, audit
from services.gateway.handlers.http.packs import put_version
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import packs, thresholds
from services.gateway.store.tables import PackRow, ThresholdChangeRow
from services.gateway.store.timeline import Body
from shared.contracts.learner import ThresholdProposal, Thresholds, ThresholdsRequest
from shared.outbox import Unit

router = APIRouter()

PATH = "/api/ml/optimize-thresholds"
TIMEOUT_S = 20.0
SHOWN = 50
Days = Annotated[float, Query(gt=0, le=3_650, description="How far to look back.")]


@router.get(PATH, tags=["observe"])
async def propose_thresholds(deps: Wired, _bearer: Viewer, days: Days = 90) -> Success[schemas.ThresholdsReport]:
    """Which playbooks could have another threshold, with what both did on recorded decisions. Changes nothing."""
    found = await deps.bus.request("learner", "thresholds", ThresholdsRequest(days=days), Thresholds, TIMEOUT_S)
    async with deps.units.begin() as unit:
        changes = [_info(row) for row in await thresholds.newest(unit.session, SHOWN)]
    return Success(
        data=schemas.ThresholdsReport(proposals=list(found.proposals), looked_at=found.looked_at, changes=changes)
    )


@router.post(PATH, tags=["packs"])
async def apply_threshold(
    deps: Wired, request: Request, bearer: Admin, body: schemas.ThresholdBody, days: Days = 90
) -> Success[schemas.ThresholdChange]:
    """Applies a proposal by its id: the pack's next version has the proposed threshold. Again: nothing more."""
    async with deps.units.begin() as unit:
        done = await thresholds.in_force(unit.session, body.proposal_id)
    found = await deps.bus.request("learner", "thresholds", ThresholdsRequest(days=days), Thresholds, TIMEOUT_S)
    proposal = next((one for one in found.proposals if one.id == body.proposal_id), None)
    if proposal is None:
        if done is not None:
            return Success(data=_info(done))
        raise not_found("proposal", str(body.proposal_id), f"it no longer stands: see GET {PATH}")
    async with deps.units.begin() as unit:
        await packs.lock(unit.session)
        head, held = await _head(unit, proposal.pack)
        before = _own(held, proposal.playbook)
        if done is not None and before == done.after:
            return Success(data=_info(done))  # applied already; the learner hasn't taken the pack up yet
        if (before if before is not None else proposal.now) != proposal.now:
            said = f"{proposal.playbook} has another threshold by now: {before}"
            raise ApiError(409, "threshold-changed", said, f"see GET {PATH} for what is proposed now")
        row = await _change(deps, unit, head, held, proposal, before, bearer.name)
        detail: dict[str, JsonValue] = {
            "playbook": row.playbook,
            "before": row.before,
            "after": row.after,
            "version": row.version,
            "change_id": str(row.id),
        }
        await audit(unit, deps, request, bearer, proposal.pack, detail)
    return Success(data=_info(row))


@router.post(PATH + "/{change_id}/undo", tags=["packs"])
async def undo_threshold(
    deps: Wired, request: Request, bearer: Admin, change_id: UUID
) -> Success[schemas.ThresholdChange]:
    """Puts the former threshold back, as another version of the pack."""
    async with deps.units.begin() as unit:
        await packs.lock(unit.session)
        row = await thresholds.held(unit.session, change_id)
        if row is None:
            raise not_found("change of a threshold", str(change_id), f"see GET {PATH}")
        if row.undone_at is not None:
            return Success(data=_info(row))
        head, held = await _head(unit, row.pack)
        if _own(held, row.playbook) != row.after:
            said = f"{row.playbook} has another threshold than this change gave it"
            raise ApiError(409, "threshold-changed", said, "apply the pack with the threshold that it should have")
        version = head.version + 1
        await put_version(deps, unit, row.pack, version, bearer.name, _with(held, row.playbook, row.before))
        row.undone_by, row.undone_at = bearer.name, unit.now
        detail: dict[str, JsonValue] = {"playbook": row.playbook, "to": row.before, "version": version}
        await audit(unit, deps, request, bearer, row.pack, detail)
        info = _info(row)
    return Success(data=info)


async def _head(unit: Unit, pack: str) -> tuple[PackRow, Body]:
    head = await packs.head(unit.session, pack)
    if head is None or head.body is None:
        raise not_found("pack in force", pack, "see /api/packs")
    return head, head.body


def _own(body: Body, playbook: str) -> float | None:
    try:
        return own_threshold(dict(body), playbook)
    except KeyError:
        raise not_found("playbook", playbook, "the pack no longer has it") from None


def _with(body: Body, playbook: str, value: float | None) -> Body:
    return dict(with_threshold(dict(body), playbook, value))


async def _change(
    deps: Deps, unit: Unit, head: PackRow, held: Body, proposal: ThresholdProposal, before: float | None, by: str
) -> ThresholdChangeRow:
    version = head.version + 1
    await put_version(deps, unit, proposal.pack, version, by, _with(held, proposal.playbook, proposal.proposed))
    row = ThresholdChangeRow(
        id=deps.ids(),
        proposal_id=proposal.id,
        pack=proposal.pack,
        playbook=proposal.playbook,
        before=before,
        after=proposal.proposed,
        version=version,
        proposal=proposal.model_dump(mode="json"),
        applied_by=by,
        applied_at=unit.now,
        undone_by=None,
        undone_at=None,
    )
    thresholds.add(unit.session, row)
    return row


def _info(row: ThresholdChangeRow) -> schemas.ThresholdChange:
    return schemas.ThresholdChange(
        id=row.id,
        proposal_id=row.proposal_id,
        pack=row.pack,
        playbook=row.playbook,
        before=row.before,
        after=row.after,
        version=row.version,
        proposal=ThresholdProposal.model_validate(row.proposal),
        applied_by=row.applied_by,
        applied_at=row.applied_at,
        undone_by=row.undone_by,
        undone_at=row.undone_at,
    )
