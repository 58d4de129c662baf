"""How far decisions may be trusted: rights to act alone, people's overrides, what acting is worth, accuracy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Admin, Deps, Operator, Viewer, Wired, audited
from services.gateway.handlers.http.schemas import Success
from services.gateway.store.access import Bearer
from shared.contracts.base import Token
from shared.contracts.decider_governance import (
    Accuracy,
    AccuracyRequest,
    Autonomy,
    AutonomyRequest,
    AutonomyStanding,
    Credit,
    CreditRequest,
    DecisionModel,
    DecisionModels,
    ModelsRequest,
    Overridden,
    Override,
    SetAutonomy,
    Strategies,
    StrategiesRequest,
    Train,
    UseModel,
)
from shared.packs.model import Mode

router = APIRouter()

TRAINING_TIMEOUT_S = 30.0
Days = Annotated[float, Query(gt=0, le=3_650)]


@router.get("/api/autonomous/autonomy", tags=["observe"])
async def get_autonomy(deps: Wired, _bearer: Viewer, pack: Token | None = None) -> Success[Autonomy]:
    """Where every playbook stands on the ladder observe → assist → auto, on which problem, since when and why."""
    return Success(data=await deps.bus.request("decider", "autonomy", AutonomyRequest(pack=pack), Autonomy))


@router.post("/api/autonomous/autonomy/promote", tags=["administer"])
async def promote_playbook(
    deps: Wired, request: Request, bearer: Admin, body: schemas.AutonomyBody
) -> Success[AutonomyStanding]:
    """Gives a playbook the right to act alone on a problem, within its pack's mode and every limit."""
    return await _set(deps, request, bearer, body, Mode.AUTO)


@router.post("/api/autonomous/autonomy/demote", tags=["act"])
async def demote_playbook(
    deps: Wired, request: Request, bearer: Operator, body: schemas.AutonomyBody
) -> Success[AutonomyStanding]:
    """Takes the right to act alone on a problem from a playbook, until a person gives it back."""
    return await _set(deps, request, bearer, body, Mode.ASSIST)


async def _set(
    deps: Deps, request: Request, bearer: Bearer, body: schemas.AutonomyBody, level: Mode
) -> Success[AutonomyStanding]:
    detail = {"signature": body.signature, "reason": body.reason}
    async with audited(deps, request, bearer, f"{body.pack}/{body.playbook}", detail):
        asked = SetAutonomy.model_validate({**body.model_dump(), "level": level, "by": bearer.name})
        return Success(data=await deps.bus.request("decider", "set-autonomy", asked, AutonomyStanding))


@router.post("/api/autonomous/override", tags=["act"])
async def override_decision(
    deps: Wired, request: Request, bearer: Operator, body: schemas.OverrideBody
) -> Success[Overridden]:
    """Replaces a decision: run this or another playbook, or leave it alone. What is past or under way stays as it is,
    and the word on it is learned from."""
    detail = {"verdict": body.verdict, "playbook": body.playbook or "", "reason": body.reason}
    async with audited(deps, request, bearer, str(body.decision_id), detail):
        asked = Override.model_validate({**body.model_dump(), "by": bearer.name, "permissions": bearer.permissions})
        return Success(data=await deps.bus.request("decider", "override", asked, Overridden))


@router.get("/api/autonomous/credit", tags=["observe"])
async def get_credit(deps: Wired, _bearer: Viewer, days: Days = 365) -> Success[Credit]:
    """What acting was worth: cases acted on beside those left alone at random (`hold_off` of a pack's policy)."""
    return Success(data=await deps.bus.request("decider", "credit", CreditRequest(days=days), Credit))


@router.get("/api/autonomous/accuracy", tags=["observe"])
async def get_accuracy(deps: Wired, _bearer: Viewer, days: Days = 365) -> Success[Accuracy]:
    """How often decisions were right, and how many needed a person, from what was recorded alone."""
    return Success(data=await deps.bus.request("decider", "accuracy", AccuracyRequest(days=days), Accuracy))


@router.get("/api/autonomous/strategies", tags=["observe"])
async def compare_strategies(deps: Wired, _bearer: Viewer, days: Days = 90) -> Success[Strategies]:
    """What each way to choose among safe playbooks (`strategy` of a pack's policy) is worth, from recorded choices."""
    request = StrategiesRequest(days=days)
    return Success(data=await deps.bus.request("decider", "strategies", request, Strategies))


@router.get("/api/autonomous/models", tags=["observe"])
async def list_models(deps: Wired, _bearer: Viewer) -> Success[DecisionModels]:
    """Versions of the model of confidence: what each was made from, and how it was judged."""
    return Success(data=await deps.bus.request("decider", "models", ModelsRequest(), DecisionModels))


@router.post("/api/autonomous/train", tags=["administer"])
async def train_model(deps: Wired, request: Request, bearer: Admin, body: Train) -> Success[DecisionModel]:
    """Fits a model of confidence to recorded runs and judges it on later ones; in force only if it is better."""
    async with audited(deps, request, bearer, "confidence", {"activate": str(body.activate)}):
        done = await deps.bus.request("decider", "train", body, DecisionModel, TRAINING_TIMEOUT_S)
    return Success(data=done)


@router.post("/api/autonomous/models/{version}/activate", tags=["administer"])
async def activate_model(
    deps: Wired, request: Request, bearer: Admin, version: Annotated[int, Path(ge=0)]
) -> Success[DecisionModels]:
    """Puts a version in force, or goes back to a former one; 0 is the model that comes with Homeostat."""
    async with audited(deps, request, bearer, f"confidence {version}", {}):
        return Success(data=await deps.bus.request("decider", "use-model", UseModel(version=version), DecisionModels))
