"""Acting: answers to decisions, requests for repairs, cycles and rollbacks. Nothing here touches the outside."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import JsonValue

from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Deps, Operator, Viewer, Wired, audit, audited
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Listing, Success
from services.gateway.store.access import Bearer
from shared.bus import BusRequestError
from shared.contracts.base import Token
from shared.contracts.decider import Answer, Answered, Simulated, Verb
from shared.contracts.detector import Swept
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import (
    AgentList,
    AgentState,
    Backup,
    Backups,
    ListAgents,
    ListBackups,
    ListPractices,
    PracticeReport,
    Practices,
    PracticesBegun,
    Rollback,
    RolledBack,
    StartPractice,
    SweepRequest,
    VerifiedBackups,
    VerifyBackups,
)
from shared.packs.parameters import ParameterError
from shared.packs.playbook import Playbook
from shared.packs.problems import suggestion

router = APIRouter()

CYCLE = ("detector", "diagnoser", "decider", "healer", "predictor", "optimizer", "learner")
"""The services in the order of the loop."""
PHASE_TIMEOUT_S = 5.0
CYCLE_TIMEOUT_S = 30.0
ROLLBACK_TIMEOUT_S = 10.0


# ---- answers


@router.post("/api/decisions/{decision_id}/approve", tags=["act"])
async def approve_decision(
    deps: Wired, request: Request, bearer: Operator, decision_id: UUID, body: schemas.AnswerBody | None = None
) -> Success[Answered]:
    """Lets a decision that asks be done. Fails when it no longer asks: it lapsed, or somebody was faster."""
    return await _answer(deps, request, bearer, decision_id, Verb.APPROVE, body)


@router.post("/api/decisions/{decision_id}/reject", tags=["act"])
async def reject_decision(
    deps: Wired, request: Request, bearer: Operator, decision_id: UUID, body: schemas.AnswerBody | None = None
) -> Success[Answered]:
    """Says no to a decision that asks; the learner hears of it."""
    return await _answer(deps, request, bearer, decision_id, Verb.REJECT, body)


async def _answer(
    deps: Deps, request: Request, bearer: Bearer, decision_id: UUID, verb: Verb, body: schemas.AnswerBody | None
) -> Success[Answered]:
    comment = body.comment if body else ""
    detail = {"verb": verb.value, "comment": comment}
    async with audited(deps, request, bearer, str(decision_id), detail):
        answer = Answer(
            id=deps.ids(),
            at=deps.clock(),
            decision_id=decision_id,
            verb=verb,
            by=bearer.name,
            comment=comment,
            permissions=bearer.permissions,
        )
        answered = await deps.bus.request("decider", "answer", answer, Answered)
        if not answered.accepted:
            remedy = "see /api/autonomous/decisions?verdict=ask for what still asks"
            raise ApiError(409, "not-asking", answered.reason, remedy)
    return Success(data=answered)


# ---- requests


@router.post("/api/healing/run", status_code=202, tags=["act"])
async def request_healing(
    deps: Wired,
    request: Request,
    bearer: Operator,
    body: schemas.HealBody,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="The same key asks for the same thing only once.")
    ] = None,
) -> Success[schemas.Requested]:
    """Asks for a playbook on a component. The decider decides: limits, freezes and approvals hold for people too."""
    placed = deps.packs.component(body.component)
    if placed is None:
        known = [name for applied in deps.packs.packs.values() for name in applied.pack.components]
        raise not_found("component", body.component, suggestion(body.component, known, "there are: {0}"))
    if body.playbook not in placed.pack.playbooks:
        remedy = suggestion(body.playbook, placed.pack.playbooks, f"the pack {placed.pack.pack} has: {{0}}")
        raise not_found("playbook", body.playbook, remedy)
    await _refuse_unfit(deps, request, bearer, body, placed.pack.playbooks[body.playbook])
    # With a key, case and event have ids that depend on it alone: the outbox and every inbox drop a repetition.
    case_id = uuid5(NAMESPACE_URL, f"{bearer.id}/{idempotency_key}") if idempotency_key else deps.ids()
    event_id = uuid5(case_id, "request") if idempotency_key else deps.ids()
    async with deps.units.begin() as unit:
        unit.emit(
            ManualRequest(
                id=event_id,
                at=unit.now,
                case_id=case_id,
                component=body.component,
                playbook=body.playbook,
                by=bearer.name,
                comment=body.comment,
                permissions=bearer.permissions,
                parameters=body.parameters,
            )
        )
        await audit(unit, deps, request, bearer, body.component, {"playbook": body.playbook, "case_id": str(case_id)})
    return Success(data=schemas.Requested(case_id=case_id, trace=f"/api/trace/{case_id}"))


async def _refuse_unfit(
    deps: Deps, request: Request, bearer: Bearer, body: schemas.HealBody, playbook: Playbook
) -> None:
    """The decider refuses too; here whoever asks hears at once why."""
    try:
        playbook.given(body.parameters)
    except ParameterError as error:
        known = f"see /api/healing/playbooks for the parameters of {body.playbook}"
        raise ApiError(422, "bad-parameter", str(error), known) from error
    if lacking := playbook.lacks(bearer.permissions):
        async with audited(deps, request, bearer, body.component, {"playbook": body.playbook}):
            said = f"{body.playbook} needs {', '.join(lacking)}, which the token {bearer.name!r} is not permitted"
            raise ApiError(403, "not-permitted", said, "use a token that an admin gave this permission")


@router.post("/api/autonomous/decide", tags=["act"])
async def decide_now(
    deps: Wired, request: Request, bearer: Operator, body: schemas.DecideBody
) -> Success[schemas.Decided]:
    """Decides about a trouble as it is described. Only with `act` is it done: as a request of the person who asks,
    which the decider checks against every limit again."""
    decision = await deps.bus.request("decider", "simulate", body, Simulated)
    if not body.act:
        return Success(data=schemas.Decided(decision=decision))
    if decision.playbook is None:
        remedy = "write a playbook for it, or ask for one by hand with POST /api/healing/run"
        raise ApiError(409, "nothing-to-do", f"nothing is decided: {decision.explanation}"[:1000], remedy)
    case_id = deps.ids()
    async with deps.units.begin() as unit:
        unit.emit(
            ManualRequest(
                id=uuid5(case_id, "request"),
                at=unit.now,
                case_id=case_id,
                component=decision.component or body.component,
                playbook=decision.playbook,
                by=bearer.name,
                comment=body.comment,
                permissions=bearer.permissions,
            )
        )
        detail: dict[str, JsonValue] = {"playbook": decision.playbook, "case_id": str(case_id)}
        await audit(unit, deps, request, bearer, body.component, detail)
    requested = schemas.Requested(case_id=case_id, trace=f"/api/trace/{case_id}")
    return Success(data=schemas.Decided(decision=decision, requested=requested))


@router.post("/api/autonomous/run-cycle", tags=["act"])
async def run_cycle(deps: Wired, request: Request, bearer: Operator) -> Success[schemas.Cycle]:
    """Has every service look again at all it has, in the order of the loop, and reports what each found."""
    started = time.perf_counter()
    phases: list[schemas.PhaseReport] = []
    for service in CYCLE:
        left_s = CYCLE_TIMEOUT_S - (time.perf_counter() - started)
        phases.append(await _sweep(deps, service, bearer.name, min(PHASE_TIMEOUT_S, max(left_s, 0.1))))
    cycle = schemas.Cycle(
        complete=all(phase.ok for phase in phases),
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
        phases=phases,
    )
    async with deps.units.begin() as unit:
        await audit(unit, deps, request, bearer, "all", {"complete": cycle.complete})
    return Success(data=cycle)


async def _sweep(deps: Deps, service: str, by: str, timeout_s: float) -> schemas.PhaseReport:
    asked = time.perf_counter()
    ok, looked_at = True, 0
    try:
        async with asyncio.timeout(timeout_s + 0.5):
            swept = await deps.bus.request(service, "sweep", SweepRequest(by=by), Swept, timeout_s)
        looked_at, summary = swept.looked_at, swept.summary
    except (BusRequestError, TimeoutError, ValueError) as error:
        ok, summary = False, str(error) or f"the {service} did not answer in time"
    duration_ms = round((time.perf_counter() - asked) * 1000, 1)
    return schemas.PhaseReport(service=service, ok=ok, looked_at=looked_at, summary=summary, duration_ms=duration_ms)


# ---- agents


@router.get("/api/healing/agents", tags=["observe"])
async def list_agents(deps: Wired, _bearer: Viewer) -> Listing[AgentState]:
    """Agents on other hosts: who is there, who is away, and what each lets be done."""
    return Listing(data=list((await deps.bus.request("healer", "agents", ListAgents(), AgentList)).agents))


# ---- practice


@router.get("/api/healing/practice", tags=["observe"])
async def list_practices(
    deps: Wired,
    _bearer: Viewer,
    playbook: Annotated[str | None, Query(max_length=64, description="Only of this playbook.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Listing[PracticeReport]:
    """What was practised, with the evidence, newest first."""
    asked = ListPractices(playbook=playbook, limit=limit)
    return Listing(data=list((await deps.bus.request("healer", "practices", asked, Practices)).practices))


@router.post("/api/healing/practice", status_code=202, tags=["act"])
async def practise(
    deps: Wired, request: Request, bearer: Operator, body: schemas.PracticeBody
) -> Success[PracticesBegun]:
    """Has playbooks practised on their practice targets: there and back, and the states compared."""
    async with audited(deps, request, bearer, body.playbook or "all", {"pack": body.pack or "all"}):
        asked = StartPractice(playbook=body.playbook, pack=body.pack, by=bearer.name)
        begun = await deps.bus.request("healer", "practice", asked, PracticesBegun)
    return Success(data=begun)


# ---- backups


@router.get("/api/healing/backups", tags=["observe"])
async def list_backups(
    deps: Wired,
    _bearer: Viewer,
    component: Annotated[Token | None, Query(description="Only of this component.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Listing[Backup]:
    """What was kept before changes, newest first."""
    asked = ListBackups(component=component, limit=limit)
    return Listing(data=list((await deps.bus.request("healer", "backups", asked, Backups)).backups))


@router.get("/api/healing/backups/verify", tags=["act"])
async def verify_backups(
    deps: Wired,
    _bearer: Operator,
    after: Annotated[str, Query(max_length=200, description="`next` of the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Success[VerifiedBackups]:
    """Reads the next few contents of backups back and compares them with their names; ask on until `next` is null."""
    asked = VerifyBackups(after=after, limit=limit)
    return Success(data=await deps.bus.request("healer", "verify-backups", asked, VerifiedBackups, ROLLBACK_TIMEOUT_S))


@router.post("/api/monitoring/rollback/{backup_id}", tags=["act"])
async def roll_back(
    deps: Wired,
    request: Request,
    bearer: Operator,
    backup_id: Annotated[str, Path(min_length=1, max_length=100)],
) -> Success[schemas.RollbackReport]:
    """Puts back the files of a backup and verifies them; what was there is backed up first."""
    async with audited(deps, request, bearer, backup_id, {}):
        asked = Rollback(backup_id=backup_id, by=bearer.name)
        done = await deps.bus.request("healer", "rollback", asked, RolledBack, ROLLBACK_TIMEOUT_S)
    return Success(
        data=schemas.RollbackReport(
            message=f"Rolled back to backup {done.backup_id}",
            backup_id=done.backup_id,
            restored=list(done.restored),
            safety_backup_id=done.safety_backup_id,
        )
    )
