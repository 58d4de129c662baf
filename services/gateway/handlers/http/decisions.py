"""Looking into decisions: whether they can be made again, and whether their confidence can be trusted."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.gateway.handlers.http.deps import Viewer, Wired
from services.gateway.handlers.http.schemas import Success
from shared.contracts.base import Token
from shared.contracts.decider import (
    Calibration,
    CalibrationRequest,
    Recompute,
    Recomputed,
    Replay,
    Replayed,
    Simulate,
    Simulated,
)
from shared.contracts.decider_governance import Explain, Explained
from shared.contracts.decider_governor import GovernorRequest, GovernorState

router = APIRouter()

LOOK_BACK_TIMEOUT_S = 20.0


@router.get("/api/decisions/calibration", tags=["observe"])
async def get_decision_calibration(
    deps: Wired, _bearer: Viewer, days: Annotated[float, Query(gt=0, le=3_650)] = 365
) -> Success[Calibration]:
    """Whether what was said to help with 90 % helped in nine of ten runs: reliability curve, Brier score, error."""
    asked = CalibrationRequest(days=days)
    return Success(data=await deps.bus.request("decider", "calibration", asked, Calibration, LOOK_BACK_TIMEOUT_S))


@router.get("/api/decisions/recompute", tags=["observe"])
async def recompute_decisions(
    deps: Wired, _bearer: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Success[Recomputed]:
    """Makes the newest decisions again from their stored inputs and says which come out otherwise."""
    asked = Recompute(limit=limit)
    return Success(data=await deps.bus.request("decider", "recompute", asked, Recomputed, LOOK_BACK_TIMEOUT_S))


@router.get("/api/decisions/{decision_id}/recompute", tags=["observe"])
async def recompute_decision(deps: Wired, _bearer: Viewer, decision_id: UUID) -> Success[Recomputed]:
    """Makes one decision again from its stored inputs, with its explanation."""
    asked = Recompute(decision_id=decision_id)
    return Success(data=await deps.bus.request("decider", "recompute", asked, Recomputed, LOOK_BACK_TIMEOUT_S))


@router.post("/api/autonomous/simulate", tags=["observe"])
async def simulate_decision(deps: Wired, _bearer: Viewer, body: Simulate) -> Success[Simulated]:
    """What would be decided about a trouble that there is not, everything else being as it is. Nothing is touched."""
    return Success(data=await deps.bus.request("decider", "simulate", body, Simulated))


@router.get("/api/autonomous/explain", tags=["observe"])
async def explain_decision(deps: Wired, _bearer: Viewer, decision_id: UUID | None = None) -> Success[Explained]:
    """All that a decision (by default the newest) rests on: criteria with weights, limits, alternatives, evidence, the
    rule that decided, and the smallest change that would have turned it."""
    asked = Explain(decision_id=decision_id)
    return Success(data=await deps.bus.request("decider", "explain", asked, Explained))


@router.post("/api/decisions/replay", tags=["observe"])
async def replay_decisions(deps: Wired, _bearer: Viewer, body: Replay) -> Success[Replayed]:
    """What other rules would have done with recorded decisions, and what that is worth. Nothing is touched."""
    return Success(data=await deps.bus.request("decider", "replay", body, Replayed, LOOK_BACK_TIMEOUT_S))


@router.get("/api/autonomous/governor", tags=["observe"])
async def get_governor(deps: Wired, _bearer: Viewer, pack: Token | None = None) -> Success[GovernorState]:
    """Who acts where under which lease, what is left of every budget, and what forbids acting now."""
    return Success(data=await deps.bus.request("decider", "governor", GovernorRequest(pack=pack), GovernorState))
