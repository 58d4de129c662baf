"""One method per event: put it into the case, then decide if there is something to decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.decider.domain import Case, Result
from services.decider.domain.life import State
from services.decider.domain.vocabulary import CaseKind
from services.decider.handlers import translate
from services.decider.handlers.casework import Casework
from services.decider.handlers.world import Backdrop
from services.decider.store import CaseRow, cases, decisions, grants, trust
from shared.contracts.detector import Incident, Swept
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Prediction
from shared.outbox import Unit

BATCH = 4
"""Cases decided again in one unit of work: few, since whatever is new waits that long for the packs' locks."""


@dataclass
class Handlers:
    """What the decider does with what it hears."""

    work: Casework

    async def incident(self, event: Incident, unit: Unit) -> None:
        """Opens, reopens or ends a case; what to do about it comes with the diagnosis."""
        new = translate.of_incident(event)
        row = await cases.take(unit.session, new, unit.now)
        if event.revision <= row.incident_revision:
            return
        before = cases.facts_of(row)
        was_over = row.incident_revision > 0 and not row.is_open
        row.incident_revision = event.revision
        case = replace(
            before,
            is_open=new.is_open,
            opened_at=new.opened_at,
            pattern=new.pattern,
            severity=new.severity,
            flapping=new.flapping,
            silenced=new.silenced,
        )
        worse = new.severity == "critical" and before.severity == "warning"
        if was_over or worse:
            case = replace(case, declined=None)
        cases.keep(row, case, unit.now)
        if not case.is_open:
            await trust.over(unit.session, row.case_id, event.resolved_at or unit.now)
            await self.work.over(unit, row)
        elif row.state != State.RUNNING.value and (was_over or worse or bool(before.silenced) != bool(new.silenced)):
            row.state, row.tries = State.OPEN.value, 0
            row.next_at = unit.now + self.work.pace.reopened if case.causes else None
            if case.diagnosed_at is not None and case.diagnosed_at >= event.opened_at:
                await self._decide_if_open(unit, row)  # the diagnosis of this opening was heard before the opening

    async def diagnosis(self, event: Diagnosis, unit: Unit) -> None:
        """New causes: decide, unless the incident is over or a run is on its way."""
        row = await cases.take(unit.session, translate.of_diagnosis(event), unit.now)
        if event.revision <= row.source_revision:
            return
        row.source_revision = event.revision
        before = cases.facts_of(row)
        case = replace(before, causes=translate.causes(event), diagnosed_at=event.at, symptom_of=event.symptom_of)
        if _best(case) != _best(before):
            case = replace(case, declined=None)
        cases.keep(row, case, unit.now)
        await self._decide_if_open(unit, row)

    async def prediction(self, event: Prediction, unit: Unit) -> None:
        new = translate.of_prediction(event)
        row = await cases.take(unit.session, new, unit.now)
        if event.revision <= row.source_revision:
            return
        before = cases.facts_of(row)
        returned = row.source_revision > 0 and not before.is_open and new.is_open
        row.source_revision = event.revision
        declined = None if returned else before.declined
        cases.keep(row, replace(new, opened_at=before.opened_at, tried=before.tried, declined=declined), unit.now)
        if not new.is_open:
            await self.work.over(unit, row)
        else:
            await self._decide_if_open(unit, row)

    async def request(self, event: ManualRequest, unit: Unit) -> None:
        """A person's request is one case with one answer."""
        await self._once(unit, translate.of_request(event))

    async def recommendation(self, event: Recommendation, unit: Unit) -> None:
        await self._once(unit, translate.of_recommendation(event))

    async def outcome(self, event: Outcome, unit: Unit) -> None:
        """Frees the component; thinks on when the trouble is still there. A dry run is only noted."""
        row = await cases.lock(unit.session, event.case_id)
        decision = await decisions.by_id(unit.session, event.decision_id)
        if row is None or decision is None or decision.case_id != event.case_id:
            return
        told = event.model_dump(mode="json", include=_OUTCOME_FIELDS)
        grant = await grants.of_decision(unit.session, event.decision_id)
        if event.dry_run or grant is None or grant.finished_at is not None:
            decision.actual_outcome, decision.updated_at = told, unit.now
            return
        await self.work.world.lock(unit, cases.facts_of(row))
        await self.work.ended(unit, row, grant, Result(event.result.value), told, changed=event.changed)

    # ---- time

    async def tick(self, unit: Unit) -> bool:
        """Decides what is due: refused cases, lapsed questions, reopened incidents, silent runs. True: more is due."""
        return await self._give_up_a_silent_run(unit) or await self._decide_due(unit) == BATCH

    async def prune(self, unit: Unit) -> None:
        await cases.prune(unit.session, unit.now - self.work.pace.keep)

    async def sweep(self, _request: SweepRequest, unit: Unit) -> Swept:
        """Looks at every open case now."""
        looked_at = await cases.wake_all(unit.session, unit.now)
        decided = await self._decide_due(unit)
        return Swept(
            at=unit.now,
            service="decider",
            looked_at=looked_at,
            summary=f"{looked_at} open cases, {decided} decided again, the rest follow at once",
        )

    async def _decide_due(self, unit: Unit) -> int:
        rows = await cases.due(unit.session, unit.now, BATCH)
        await self.work.world.lock(unit, *(cases.facts_of(row) for row in rows))
        backdrop = Backdrop()
        for row in rows:
            if cases.facts_of(row).is_open and not _waits_for_causes(row):
                await self.work.decide(unit, row, backdrop=backdrop)
            else:
                row.next_at = None
        return len(rows)

    async def _give_up_a_silent_run(self, unit: Unit) -> bool:
        """One a unit: its locks are taken in the same order as everywhere, case before packs."""
        for lapsed in await grants.lapsed(unit.session, unit.now, 1):
            row = await cases.lock(unit.session, lapsed.case_id)
            if row is not None:
                told = {"result": Result.LOST.value, "reason": "nothing was heard of the run within its lease"}
                await self.work.world.lock(unit, cases.facts_of(row))
                grant = await grants.lock(unit.session, lapsed.decision_id)  # it may have been renewed meanwhile
                if grant is not None and grant.finished_at is None and grant.lease_until < unit.now:
                    await self.work.ended(unit, row, grant, Result.LOST, told)
                return True
        return False

    # ---- parts

    async def _decide_if_open(self, unit: Unit, row: CaseRow) -> None:
        if row.is_open and row.state != State.RUNNING.value:
            await self.work.decide(unit, row)

    async def _once(self, unit: Unit, case: Case) -> None:
        row = await cases.take(unit.session, case, unit.now)
        if row.source_revision == 0:
            row.source_revision = 1
            await self._decide_if_open(unit, row)


_OUTCOME_FIELDS = {
    "result",
    "reason",
    "playbook",
    "error_count_after",
    "backup_id",
    "steps",
    "started_at",
    "applied_at",
    "finished_at",
    "dry_run",
}


def _waits_for_causes(row: CaseRow) -> bool:
    return row.kind == CaseKind.INCIDENT.value and not cases.facts_of(row).causes


def _best(case: Case) -> tuple[str, str] | None:
    return (case.causes[0].component, case.causes[0].category.value) if case.causes else None
