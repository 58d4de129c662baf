"""DBOS underneath: one workflow per decision, started at once, taken over from the dead, never run twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatusString

from services.healer.workflows.records import PracticeOrder
from services.healer.workflows.slots import SlotLostError, Slots, executor_name
from shared.contracts.decider import Decision

log = structlog.get_logger()

WORKFLOW_VERSION = "1"
"""Raise it only when a running workflow could not go on under the new code: its successor would not recover it."""
ADOPT_GRACE_S = 3.0
FORGET_AT_ONCE = 500
THREADS = 64
"""Shared by DBOS and this loop; while PostgreSQL is away each waiting run holds one."""
SCHEMA = "healer_dbos"
_DEAD_STATES = (
    WorkflowStatusString.ERROR.value,
    WorkflowStatusString.CANCELLED.value,
    WorkflowStatusString.MAX_RECOVERY_ATTEMPTS_EXCEEDED.value,
)


@dataclass(slots=True)
class Engine:
    """Runs the workflow of each decision exactly once, as one of any number of replicas."""

    dsn: str = field(repr=False)
    body: Callable[[Decision], Awaitable[str]]
    slots: Slots
    practise: Callable[[PracticeOrder], Awaitable[str]]
    launched: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[str]] = field(default_factory=set)
    _workflow: Callable[[str], Coroutine[Any, Any, str]] | None = None
    _practice: Callable[[str], Coroutine[Any, Any, str]] | None = None

    async def run(self) -> None:
        """Claims a slot, launches, and holds the slot for ever; ends the process when it is lost."""
        if self._workflow is None:
            await self.slots.claim()
            # In a thread: it builds indexes concurrently, which waits for transactions that are open in this loop.
            await asyncio.to_thread(DBOS.migrate, self.dsn, schema=SCHEMA)
            try:
                self._workflow = self._launch()
            except BaseException:
                _destroy()  # half launched, it would refuse to be launched again
                raise
            self.launched.set()
            log.info("workflows launched", executor=executor_name(self.slots.slot))
        try:
            await self.slots.keep()
        except SlotLostError as error:
            log.critical("ending this process at once", error=str(error))
            os._exit(75)  # anything slower would run workflows that another replica runs too

    def _launch(self) -> Callable[[str], Coroutine[Any, Any, str]]:
        """Inside the running loop, so that workflows run on it beside the database pool."""
        config = DBOSConfig(
            name="homeostat-healer",
            system_database_url=self.dsn,
            dbos_system_schema=SCHEMA,
            application_version=WORKFLOW_VERSION,
            executor_id=executor_name(self.slots.slot),
            log_level="WARNING",
            console_log_level="WARNING",
            run_migrations=False,
            enable_otlp=False,
            sys_db_pool_size=8,
            max_executor_threads=THREADS,
        )
        DBOS(config=config)

        async def heal(decision: str) -> str:
            self._mind_task()
            return await self.body(Decision.model_validate_json(decision))

        async def practise(order: str) -> str:
            self._mind_task()
            return await self.practise(PracticeOrder.model_validate_json(order))

        workflow = DBOS.workflow(name="heal")(heal)
        self._practice = DBOS.workflow(name="practise")(practise)
        DBOS.launch()
        return workflow

    def _mind_task(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def start_practice(self, order: PracticeOrder) -> None:
        """Starts a practice, once launched; does nothing when it was started before."""
        await self.launched.wait()
        if self._practice is not None:
            with SetWorkflowID(str(order.practice_id)):
                await DBOS.start_workflow_async(self._practice, order.model_dump_json(by_alias=True))

    async def start(self, decision: Decision) -> None:
        """Starts the run of a decision, once launched; does nothing when it was started before."""
        await self.launched.wait()
        if self._workflow is not None:
            with SetWorkflowID(str(decision.decision_id)):
                await DBOS.start_workflow_async(self._workflow, decision.model_dump_json())

    async def adopt(self) -> int:
        """Takes over what dead replicas left running; returns how many runs."""
        if not self.launched.is_set():
            return 0
        pending = await DBOS.list_workflows_async(
            status=WorkflowStatusString.PENDING.value, app_version=WORKFLOW_VERSION, load_input=False, load_output=False
        )
        own = executor_name(self.slots.slot)
        executors = {workflow.executor_id for workflow in pending if workflow.executor_id} - {own}
        adopted = 0
        for slot in await self.slots.dead(executors, ADOPT_GRACE_S):
            if await self.slots.borrow(slot):
                try:
                    name = executor_name(slot)
                    adopted += len(await asyncio.to_thread(DBOS._recover_pending_workflows, [name]))
                    log.warning("took over from a dead replica", executor=name, runs=adopted)
                finally:
                    await self.slots.give_back(slot)
        return adopted

    async def ended_without_result(self, ids: Sequence[str]) -> dict[str, bool | None]:
        """Of each of these runs whether its workflow ended by an error; None where there is no such workflow."""
        if not ids or not self.launched.is_set():
            return dict.fromkeys(ids, False)
        known = {
            workflow.workflow_id: workflow.status in _DEAD_STATES
            for workflow in await DBOS.list_workflows_async(workflow_ids=list(ids), load_input=False, load_output=False)
        }
        return {one: known.get(one) for one in ids}

    async def forget(self, before: datetime) -> None:
        """Deletes the records of workflows that ended before `before`."""
        if not self.launched.is_set():
            return
        old = await DBOS.list_workflows_async(
            completed_before=before.isoformat(), limit=FORGET_AT_ONCE, load_input=False, load_output=False
        )
        await DBOS.delete_workflows_async([workflow.workflow_id for workflow in old])

    async def stop(self) -> None:
        """Leaves everything that runs to its successor: cancelled between two awaits, it goes on from its records."""
        self.launched.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._workflow is not None:
            # DBOS has made its own threads the loop's, and ends them
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="healer"))
            await asyncio.to_thread(_destroy)
        with suppress(Exception):
            await self.slots.release()


def _destroy() -> None:
    DBOS.destroy(destroy_registry=True)
