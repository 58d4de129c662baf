"""What the healer does when a decision, an incident or a prediction arrives, and what it does again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from services.healer.domain.conditions import Standing
from services.healer.domain.runs import Ending, Reason, RunStatus
from services.healer.domain.validation import ErrorHistory
from services.healer.store import cases, fences, practices, runs
from services.healer.store.hooks import after_commit
from services.healer.store.models import CaseState
from services.healer.workflows.admission import run_of
from services.healer.workflows.engine import Engine
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.journal import Journal, plan_of
from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Health, HealthStatus, Incident, Swept
from shared.contracts.healer import Phase, SweepRequest
from shared.contracts.predictor import Moment, Prediction
from shared.outbox import Unit

log = structlog.get_logger()

START_GRACE = timedelta(seconds=1)
"""A run that has not begun this long after its turn came was left by a crash."""
STRANDED_AFTER = timedelta(seconds=15)


@dataclass(slots=True)
class HealthBook:
    """Health of each component, and errors ever seen of it, as the detector tells."""

    _errors: dict[str, ErrorHistory] = field(default_factory=dict)
    _standings: dict[str, Standing] = field(default_factory=dict)

    async def seen(self, component: str, health: Health | None) -> None:
        """For `bus.watch(Health, book.seen)`."""
        if health is None:
            self._errors.pop(component, None)
            self._standings.pop(component, None)
        else:
            self._standings[component] = Standing(health.status.value, health.error_count)
            self._errors.setdefault(component, ErrorHistory()).tell(health.at, health.error_count)

    def errors_of(self, component: str) -> ErrorHistory:
        """An empty history for a component nobody watches."""
        return self._errors.get(component) or ErrorHistory()

    def standings(self) -> dict[str, Standing]:
        """The health of every component that is watched, by name."""
        return dict(self._standings)

    def is_ill(self, component: str) -> bool:
        """False for a component nobody watches."""
        known = self._standings.get(component)
        return known is not None and known.status == HealthStatus.CRITICAL.value


def is_to_be_run(decision: Decision) -> bool:
    """An order to act, or one to say what would be done; a question waits for its answer."""
    wanted = decision.verdict is Verdict.EXECUTE or (decision.verdict is Verdict.OBSERVE and decision.dry_run)
    return wanted and decision.plan is not None


@dataclass(slots=True)
class Handlers:
    journal: Journal
    engine: Engine
    finishing: Finishing
    retention: timedelta
    _starting: set[asyncio.Task[None]] = field(default_factory=set)

    # ---- events

    async def decided(self, decision: Decision, unit: Unit) -> None:
        """Admits the run of a decision and starts it at once when its component is free."""
        if not is_to_be_run(decision):
            return
        if not await runs.admit(unit.session, run_of(decision, unit.now)):
            log.info("decision admitted before", decision_id=str(decision.decision_id), revision=decision.revision)
            return
        if not decision.dry_run:
            await fences.raise_to(unit.session, decision.component, plan_of(decision).epoch)
        is_free = await runs.activate(unit.session, decision.decision_id, decision.component, unit.now)
        if is_free:
            self._start_after(unit, [decision])
        else:
            await self.journal.say(unit, decision, Phase.QUEUED, detail=f"another run is on {decision.component}")

    async def incident(self, incident: Incident, unit: Unit) -> None:
        """Keeps the newest state of an incident: a run must know when it is over."""
        await cases.note(
            unit.session,
            CaseState(
                case_id=incident.case_id,
                kind=CaseKind.INCIDENT.value,
                component=incident.component,
                revision=incident.revision,
                is_open=incident.is_showing,
                error_count=incident.error_count,
                opened_at=incident.opened_at,
                closed_at=incident.resolved_at or incident.clearing_since,
                seen_bad_at=incident.last_seen_at,
                detection_method=incident.method.value,
                updated_at=unit.now,
            ),
        )

    async def prediction(self, prediction: Prediction, unit: Unit) -> None:
        """Keeps whether a prediction still stands."""
        is_open = prediction.moment is not Moment.GONE
        await cases.note(
            unit.session,
            CaseState(
                case_id=prediction.case_id,
                kind=CaseKind.PREDICTION.value,
                component=prediction.component,
                revision=prediction.revision,
                is_open=is_open,
                error_count=0,
                opened_at=None,
                closed_at=None if is_open else prediction.at,
                seen_bad_at=None,
                updated_at=unit.now,
            ),
        )

    async def sweep_asked(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Looks again at every run that waits, was not started, or was left behind."""
        started = await self.start_waiting(unit)
        left = await self.finish_stranded(unit)
        return Swept(
            at=unit.now, service="healer", looked_at=started + left, summary=f"started {started}, gave up {left} runs"
        )

    # ---- again and again

    async def start_waiting(self, unit: Unit) -> int:
        """Starts what may start and hasn't: its component was busy, or a crash came between commit and start."""
        due = list(await runs.not_started(unit.session, unit.now - START_GRACE))
        for run in await runs.queued(unit.session):
            if await runs.activate(unit.session, run.id, run.component, unit.now):
                due += [run]
        self._start_after(unit, [Decision.model_validate(run.decision) for run in due])
        return len(due)

    async def finish_stranded(self, unit: Unit) -> int:
        """Ends runs whose workflow can never go on, so that their component is free and somebody hears of it."""
        active = await runs.active_since(unit.session, unit.now - STRANDED_AFTER)
        ended = await self.engine.ended_without_result([str(run.id) for run in active])
        stranded = [run for run in active if ended[str(run.id)] or (ended[str(run.id)] is None and run.started_at)]
        for run in stranded:
            log.error("run can't go on", decision_id=str(run.id))
            ending = Ending(
                RunStatus.FAILED, Reason.INTERRUPTED, "its workflow ended without an outcome: a person is needed"
            )
            await self.finishing.finish(Decision.model_validate(run.decision), ending, run.healing_actions, 0)
        return len(stranded)

    async def prune(self, unit: Unit) -> None:
        """Forgets what is older than its retention."""
        await runs.prune(unit.session, unit.now - self.retention)
        await practices.prune(unit.session, unit.now - self.retention)
        await cases.prune(unit.session, unit.now - self.retention)
        await self.engine.forget(unit.now - self.retention)

    # ---- starting

    def freed(self, component: str) -> None:
        """A run has ended: the next one of its component starts now rather than at the next sweep."""
        log.debug("component is free", component=component)
        # in a context of its own: this is called inside a workflow, of which the next one must not become a part
        self._spawn(self._start_next(), Context())

    async def _start_next(self) -> None:
        try:
            await self.journal.write(self.start_waiting)
        except Exception as error:
            log.exception("waiting runs not started; the sweep will", error=str(error))

    def _start_after(self, unit: Unit, decisions: Sequence[Decision]) -> None:
        """Not through a queue of the workflow engine, whose polling would cost up to a second: see docs/decisions."""
        if decisions:
            after_commit(unit.session, lambda: self._spawn(self._start(decisions)))

    async def _start(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            try:
                await self.engine.start(decision)
            except Exception as error:  # the sweep starts it
                log.exception("run not started", decision_id=str(decision.decision_id), error=str(error))

    def _spawn(self, work: Coroutine[None, None, None], context: Context | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
