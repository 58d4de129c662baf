"""Healing as people look at it: what is being done, what has helped, how well, and what a strategy would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query

from services.gateway.domain.access import Role
from services.gateway.handlers.http import healing_schemas as schemas
from services.gateway.handlers.http.deps import Deps, Operator, Viewer, Wired
from services.gateway.handlers.http.observe import MAX_SHOWN, RUNNING, asking
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import healing, timeline
from services.gateway.store.access import Bearer
from services.gateway.store.healing import Solution, Spread
from shared.contracts.decider import Decision, Plan, Simulate, Simulated, Verdict
from shared.contracts.healer import Backups, ListBackups, Outcome, Phase, RunProgress, SimulatedRun, SimulateRun
from shared.packs import Playbook
from shared.packs.book import Placed
from shared.packs.parameters import ParameterError
from shared.packs.problems import suggestion

router = APIRouter()

RECENT = 10
SIMULATE_TIMEOUT_S = 20.0
Days = Annotated[float, Query(gt=0, le=365, description="How far back.")]


@router.get("/api/healing/status", tags=["observe"])
async def get_healing_status(deps: Wired, _bearer: Viewer) -> Success[schemas.HealingStatus]:
    """What is being done now, what waits for its component or for a person, and what ended last."""
    async with deps.units.begin() as unit:
        runs = await timeline.page(unit.session, "run", MAX_SHOWN, statuses=RUNNING)
        asked = await timeline.page(unit.session, "decision", MAX_SHOWN, statuses=[Verdict.ASK])
        ended = await timeline.page(unit.session, "outcome", RECENT)
        now = unit.now
    running = [RunProgress.model_validate(body) for body in runs.bodies]
    return Success(
        data=schemas.HealingStatus(
            at=now,
            running=[one for one in running if one.phase is not Phase.QUEUED],
            queued=[one for one in running if one.phase is Phase.QUEUED],
            asking=[asking(Decision.model_validate(body)) for body in asked.bodies],
            recent=[Outcome.model_validate(body) for body in ended.bodies],
        )
    )


@router.get("/api/monitoring/backups", tags=["observe"])
async def list_kept_backups(
    deps: Wired, _bearer: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Success[schemas.KeptBackups]:
    """What was kept before changes, and why."""
    found = await deps.bus.request("healer", "backups", ListBackups(limit=limit), Backups)
    kept = [
        schemas.KeptBackup(
            backup_id=one.backup_id,
            timestamp=one.at,
            files=[file.path for file in one.files],
            metadata=schemas.KeptBecause(reason=one.reason, confidence=one.confidence),
        )
        for one in found.backups
    ]
    return Success(data=schemas.KeptBackups(backups=kept, total=found.total))


@router.get("/api/healing/patterns", tags=["observe"])
async def list_healing_patterns(
    deps: Wired, _bearer: Viewer, days: Days = 365
) -> Success[list[schemas.HealingPattern]]:
    """Problems that were acted on, with the playbooks that have helped and how fast: measured, never estimated."""
    async with deps.units.begin() as unit:
        found = await healing.solutions(unit.session, unit.now - timedelta(days=days))
    return Success(data=[_pattern(list(runs)) for _, runs in groupby(found, key=lambda one: one.signature)])


def _pattern(tried: Sequence[Solution]) -> schemas.HealingPattern:
    runs, successes = sum(one.runs for one in tried), sum(one.successes for one in tried)
    timed = [(one.recovery_s, one.successes) for one in tried if one.recovery_s is not None]
    spent_s = sum(seconds * count for seconds, count in timed)
    return schemas.HealingPattern(
        problem_signature=tried[0].signature,
        category=tried[0].category,
        proven_solutions=[_solution(one) for one in tried if one.successes],
        tried_in_vain=[one.playbook for one in tried if not one.successes],
        runs=runs,
        success_rate=successes / runs,
        average_resolution_time_ms=round(spent_s * 1000 / successes) if timed else None,
        last_updated=max(one.last_at for one in tried),
    )


def _solution(one: Solution) -> schemas.ProvenSolution:
    return schemas.ProvenSolution(
        playbook=one.playbook,
        runs=one.runs,
        successes=one.successes,
        success_rate=one.successes / one.runs,
        average_resolution_time_ms=None if one.recovery_s is None else round(one.recovery_s * 1000),
    )


@router.get("/api/healing/metrics", tags=["observe"])
async def get_healing_metrics(deps: Wired, _bearer: Viewer, days: Days = 30) -> Success[schemas.HealingMetrics]:
    """How effective healing was: shares and times of real runs. A share of nothing is null, never 100 %."""
    async with deps.units.begin() as unit:
        since = unit.now - timedelta(days=days)
        found = await healing.effect(unit.session, since)
    return Success(
        data=schemas.HealingMetrics(
            since=since,
            incidents=found.incidents,
            incidents_open=found.still_open,
            incidents_acted_on=found.acted_on,
            incidents_healed=found.healed,
            incidents_over_without_a_run=found.without_a_run,
            healed_share=found.healed / found.incidents if found.incidents else None,
            recovery_rate=found.healed / found.acted_on if found.acted_on else None,
            runs=found.runs,
            runs_succeeded=found.succeeded,
            runs_rolled_back=found.rolled_back,
            runs_not_undone=found.failed,
            success_rate=found.succeeded / found.runs if found.runs else None,
            detect_to_fix=_spread(found.fix),
            detect_to_recovery=_spread(found.recovery),
        )
    )


def _spread(one: Spread) -> schemas.Spread:
    return schemas.Spread(mean_s=one.mean_s, p50_s=one.p50_s, p95_s=one.p95_s)


@router.post("/api/healing/simulate", tags=["act"])
async def simulate_healing(
    deps: Wired, bearer: Operator, body: schemas.SimulateHealing
) -> Success[schemas.SimulatedHealing]:
    """What would be decided about an incident as it is described, and what the playbook would do there: each step as
    its actuator sees the world now. Nothing is touched."""
    decision = await _decision(deps, body)
    component = (decision.component if decision else "") or body.component
    placed = deps.packs.component(component)
    if placed is None:
        raise not_found("component in care", component, "apply a pack that has it")
    name, spec = _playbook(placed, bearer, body, decision)
    if spec is None:
        return Success(data=schemas.SimulatedHealing(decision=decision))
    try:
        filled = spec.given(body.parameters)
    except ParameterError as error:
        raise ApiError(422, "bad-parameter", str(error), "give values that fit in `parameters`") from error
    plan = Plan(
        pack=placed.pack.pack,
        pack_version=placed.version,
        playbook=name,
        spec=filled,
        component=component,
        target=placed.component,
        http_hosts=placed.pack.http_hosts,
    )
    asked = SimulateRun(plan=plan)
    run = await deps.bus.request("healer", "simulate", asked, SimulatedRun, SIMULATE_TIMEOUT_S)
    return Success(data=schemas.SimulatedHealing(decision=decision, playbook=name, run=run))


async def _decision(deps: Deps, body: schemas.SimulateHealing) -> Simulated | None:
    if body.category is None:
        if body.playbook is None and body.spec is None:
            remedy = "give `category` for what would be decided, or `playbook` for what it would do, or both"
            raise ApiError(422, "nothing-asked", "neither an incident nor a playbook is described", remedy)
        return None
    asked = Simulate(
        component=body.component,
        category=body.category,
        confidence=body.confidence,
        severity=body.severity,
        pattern=body.pattern,
    )
    return await deps.bus.request("decider", "simulate", asked, Simulated)


def _playbook(
    placed: Placed, bearer: Bearer, body: schemas.SimulateHealing, decision: Simulated | None
) -> tuple[str, Playbook | None]:
    """The playbook that was named or written, else the one that would be decided on."""
    if body.spec is not None:
        if bearer.role is not Role.ADMIN:  # looking shows what it looks at: any file's settings
            raise ApiError(403, "role-too-low", "only an admin simulates a playbook that is in no pack", "name one")
        return body.playbook or "simulated", body.spec
    name = body.playbook or (decision.playbook if decision else None)
    if name is None:
        return "", None
    if name not in placed.pack.playbooks:
        remedy = suggestion(name, placed.pack.playbooks, f"the pack {placed.pack.pack} has: {{0}}")
        raise not_found("playbook", name, remedy)
    return name, placed.pack.playbooks[name]
