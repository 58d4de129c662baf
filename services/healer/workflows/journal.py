"""Telling the world what a run does, once, and waiting for PostgreSQL when it is away.

Nothing here touches the bus: events go to the outbox with the state they tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid5

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.healer.store import runs
from services.healer.store.models import RunEvent
from services.healer.workflows.rehearsal import Rehearsal
from shared.contracts.decider import Decision, Plan
from shared.contracts.healer import Phase, RunProgress
from shared.outbox import Unit, Units

log = structlog.get_logger()

FIRST_DELAY_S = 0.05
LAST_DELAY_S = 2.0
_AWAY = (
    OSError,
    TimeoutError,
    PoolTimeoutError,
    OperationalError,
    InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
)


def database_is_away(error: BaseException) -> bool:
    """True when the failure says only that PostgreSQL can't be reached now: asyncpg's errors come wrapped or bare."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (error.orig is not None and database_is_away(error.orig))
    if isinstance(error, ValueError):  # asyncpg's DataError, which is an InterfaceError too
        return False
    return isinstance(error, _AWAY) or (error.__cause__ is not None and database_is_away(error.__cause__))


def plan_of(decision: Decision) -> Plan:
    """The plan of a decision that is carried out; only such reach the workflows."""
    if decision.plan is None:
        raise ValueError(f"decision {decision.decision_id} has no plan")
    return decision.plan


class Journal:
    """Units of work that outlast a restart of the database, and the events of a run."""

    def __init__(self, units: Units) -> None:
        self._units = units

    async def write[T](self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Does `work` in a unit and commits; tries again until PostgreSQL is there. `work` must bear repetition."""
        delay_s = FIRST_DELAY_S
        while True:
            try:
                async with self._units.begin() as unit:
                    result = await work(unit)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("waiting for PostgreSQL", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_DELAY_S)
            else:
                return result

    async def say(
        self,
        unit: Unit,
        decision: Decision,
        phase: Phase,
        *,
        step: str = "",
        detail: str = "",
        duration_ms: float | None = None,
    ) -> None:
        """Publishes one thing a run has done, however often the step that does so is repeated."""
        key = f"{phase.value}:{step}"
        event = RunEvent(
            run_id=decision.decision_id,
            key=key,
            at=unit.now,
            phase=phase.value,
            step=step,
            detail=detail,
            duration_ms=duration_ms,
        )
        if not await runs.say(unit.session, event) or isinstance(decision, Rehearsal):
            return
        unit.emit(
            RunProgress(
                id=uuid5(decision.decision_id, key),
                at=unit.now,
                component=decision.component,
                case_id=decision.case_id,
                case_kind=decision.case_kind,
                decision_id=decision.decision_id,
                playbook=plan_of(decision).playbook,
                phase=phase,
                step=step,
                detail=detail,
                duration_ms=duration_ms,
                dry_run=decision.dry_run,
            )
        )
