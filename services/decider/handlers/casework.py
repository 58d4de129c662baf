"""Decides a case and carries out the decision: the record, the grant, the event, and when to look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import structlog

from services.decider.domain import (
    Approval,
    Case,
    Declined,
    Inputs,
    Reason,
    Result,
    Ruling,
    Tried,
    Verdict,
    decide,
    expected_outcome,
)
from services.decider.domain.life import ONCE, UNAIDED, Next, State, after
from services.decider.domain.record import Json, dump_inputs
from services.decider.domain.vocabulary import ATTEMPTED, GOVERNOR
from services.decider.handlers import translate
from services.decider.handlers.governor import Governor
from services.decider.handlers.rights import Rights
from services.decider.handlers.world import Backdrop, World
from services.decider.store import CaseRow, DecisionRow, GrantRow, cases, decisions, trust
from shared import telemetry
from shared.outbox import Unit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look again, and how long to wait for what follows by itself."""

    review: timedelta = timedelta(seconds=30)
    """Every open case is looked at again this often: packs, records and modes change."""
    reopened: timedelta = timedelta(seconds=1)
    """A reopened case is decided after this, so that a new diagnosis may come first."""
    after_success: timedelta = timedelta(seconds=60)
    """An incident still open this long after a run that helped is decided again."""
    keep: timedelta = timedelta(days=30)


@dataclass
class Casework:
    """What is done to one case, whose row is locked."""

    world: World
    governor: Governor
    pace: Pace
    ids: Callable[[], UUID]

    def __post_init__(self) -> None:
        self.rights = Rights(self.world)

    async def decide(
        self, unit: Unit, row: CaseRow, approval: Approval | None = None, backdrop: Backdrop | None = None
    ) -> Ruling:
        """Decides the case and, unless it is an approval that was refused, carries the ruling out."""
        case = cases.facts_of(row)
        await self.world.lock(unit, case)
        live = await decisions.live(unit.session, row.case_id)
        case = await self._up_to_date(unit, row, case, live)
        inputs = await self.world.inputs(unit, case, approval, backdrop)
        ruling = decide(inputs)
        if approval is None or ruling.verdict is Verdict.EXECUTE:
            await self._carry_out(unit, row, live, inputs, ruling)
        return ruling

    async def _up_to_date(self, unit: Unit, row: CaseRow, case: Case, live: DecisionRow | None) -> Case:
        """The case with what time and other cases have changed: a lapsed question, help for the culprit."""
        known = case
        unaided = await self.world.is_unaided(unit, case.symptom_of)
        case = replace(case, culprit_unaided=unaided)
        if (
            live is not None
            and live.verdict == Verdict.ASK.value
            and live.expires_at is not None
            and live.expires_at <= unit.now
        ):
            lapsed = Declined(Reason.EXPIRED, live.chosen_action or "", live.component)
            case = replace(case, declined=lapsed)
        if case != known:
            cases.keep(row, case, unit.now)
        return case

    async def _carry_out(
        self, unit: Unit, row: CaseRow, live: DecisionRow | None, inputs: Inputs, ruling: Ruling
    ) -> None:
        following = after(ruling, inputs.case.kind, row.tries, self.pace.review.total_seconds())
        if live is None or _fingerprint(live) != _said(ruling):
            live = await self._tell(unit, row, live, inputs, ruling)
        row.state, row.tries = following.state.value, following.tries
        row.next_at = _next_at(following, unit.now, live)
        if following.state is State.CLOSED:
            self.close_decision(row, live, unit.now)
        if ruling.trial is not None:
            await self._enter_trial(unit, row, inputs, ruling)
        if ruling.reason in UNAIDED:
            await cases.wake_symptoms_of(unit.session, row.case_id, unit.now)

    async def _enter_trial(self, unit: Unit, row: CaseRow, inputs: Inputs, ruling: Ruling) -> None:
        """Notes in which arm the case is; one that is left alone remembers since when."""
        drawn = ruling.trial
        assert drawn is not None
        assert ruling.option is not None
        if drawn.held and inputs.case.held_since is None:
            cases.keep(row, replace(inputs.case, held_since=unit.now), unit.now)
        entered = {"case_id": row.case_id, "playbook": ruling.option.playbook, "decided_at": unit.now}
        drawn_as = {"held": drawn.held, "share": drawn.share, "for_s": drawn.for_s}
        await trust.enter(unit.session, {**entered, **drawn_as})

    async def _tell(
        self, unit: Unit, row: CaseRow, live: DecisionRow | None, inputs: Inputs, ruling: Ruling
    ) -> DecisionRow:
        """Writes the decision, grants the run if there is one, and emits the next revision."""
        if live is not None and live.dry_run:
            # A dry run has used up this decision's id: what follows must be a new decision.
            self.close_decision(row, live, unit.now)
            await unit.session.flush()
            live = None
        decision_id = uuid5(row.case_id, str(row.ordinal))
        revision = live.revision + 1 if live else 1
        expires_at = unit.now + timedelta(seconds=ruling.expires_s) if ruling.expires_s else None
        lease = await self.governor.grant(unit, inputs, ruling, decision_id)
        event = translate.event(
            inputs,
            ruling,
            event_id=self.ids(),
            decision_id=decision_id,
            revision=revision,
            expires_at=expires_at,
            http_hosts=self._http_hosts(ruling.component),
            lease=lease,
        )
        if live is None:
            live = DecisionRow(
                decision_id=decision_id,
                case_id=row.case_id,
                ordinal=row.ordinal,
                decision_type=inputs.case.kind.value,
                created_at=unit.now,
            )
            decisions.add(unit.session, live)
        _write(live, inputs, ruling, event.model_dump(mode="json"), revision, expires_at)
        await unit.session.flush()
        unit.emit(event)
        if ruling.reason in GOVERNOR and ruling.verdict is Verdict.ABSTAIN:
            telemetry.GOVERNOR_REFUSALS.labels(ruling.reason.value).inc()
        log.info(
            "decision",
            case_id=str(row.case_id),
            decision_id=str(decision_id),
            revision=revision,
            verdict=ruling.verdict.value,
            reason=ruling.reason.value,
            component=ruling.component,
            playbook=ruling.option.playbook if ruling.option else None,
        )
        return live

    def _http_hosts(self, component: str) -> tuple[str, ...]:
        placed = self.world.packs.component(component)
        return placed.pack.http_hosts if placed else ()

    def close_decision(self, row: CaseRow, live: DecisionRow | None, now: datetime) -> None:
        """The decision is history; the case's next one gets an id of its own."""
        if live is not None and live.closed_at is None:
            live.closed_at = now
            row.ordinal = live.ordinal + 1

    # ---- what becomes of a case

    async def over(self, unit: Unit, row: CaseRow) -> None:
        """The incident is resolved or the prediction gone: a question or a pending refusal is withdrawn."""
        if row.state == State.RUNNING.value:
            return
        live = await decisions.live(unit.session, row.case_id)
        pending = row.state in {State.OPEN.value, State.ASKING.value} and live is not None
        if pending and live is not None and live.verdict in {Verdict.ASK.value, Verdict.ABSTAIN.value}:
            await self.decide(unit, row)
            return
        self.close_decision(row, live, unit.now)
        row.state, row.next_at, row.tries = State.CLOSED.value, None, 0

    async def ended(
        self, unit: Unit, row: CaseRow, grant: GrantRow, result: Result, outcome: Json, *, changed: bool = True
    ) -> None:
        """A run has ended: free its component, remember what came of it, and think on."""
        self.governor.release(unit, grant, result)
        live = await decisions.live(unit.session, row.case_id)
        if live is not None and live.decision_id == grant.decision_id:
            live.actual_outcome, live.updated_at = outcome, unit.now
            live.helped = result is Result.SUCCEEDED if result in ATTEMPTED else None
            self.close_decision(row, live, unit.now)
        case = cases.facts_of(row)
        case = replace(case, tried=(*case.tried, Tried(grant.playbook, grant.component, result, changed))[-50:])
        cases.keep(row, case, unit.now)
        await unit.session.flush()
        await self.rights.after(unit, grant, result)
        await cases.wake_components(unit.session, self._neighbours(grant.component), unit.now)
        await self._think_on(unit, row, case, result)

    async def _think_on(self, unit: Unit, row: CaseRow, case: Case, result: Result) -> None:
        row.tries = 0
        if not case.is_open or case.kind in ONCE:
            row.state, row.next_at = State.CLOSED.value, None
            return
        row.state = State.OPEN.value
        if result in {Result.SUCCEEDED, Result.SKIPPED}:
            row.next_at = unit.now + self.pace.after_success
        else:
            await self.decide(unit, row)

    def _neighbours(self, component: str) -> frozenset[str]:
        """Components whose cases may wait for this one's run: all of its pack."""
        placed = self.world.packs.component(component)
        return frozenset(placed.pack.components) if placed else frozenset({component})


def _write(
    row: DecisionRow, inputs: Inputs, ruling: Ruling, event: Json, revision: int, expires_at: datetime | None
) -> None:
    option = ruling.option
    row.revision = revision
    row.component = ruling.component
    row.verdict, row.reason = ruling.verdict.value, ruling.reason.value
    row.category, row.signature = ruling.cause.category.value, ruling.cause.signature
    row.dry_run = ruling.dry_run
    row.context_data = dump_inputs(inputs)
    row.chosen_action = option.playbook if option else None
    row.alternatives_considered = event["alternatives"]
    row.confidence_score = Decimal(str(round(ruling.confidence, 2)))
    row.risk_assessment = {
        "risk": ruling.risk,
        "risk_max": ruling.risk_max,
        "words": option.risk_words if option else "nothing is touched",
        "terms": option.risk_terms if option else {},
    }
    row.expected_outcome = expected_outcome(ruling)
    row.expected_success = option.expected_success if option else None
    row.event = event
    row.decided_by = ruling.decided_by
    row.expires_at = expires_at
    row.updated_at = inputs.now


def _fingerprint(row: DecisionRow) -> tuple[object, ...]:
    """What readers would act on: a revision that differs in nothing of this isn't told."""
    return (row.verdict, row.reason, row.component, row.chosen_action, row.category, row.signature, row.dry_run)


def _said(ruling: Ruling) -> tuple[object, ...]:
    return (
        ruling.verdict.value,
        ruling.reason.value,
        ruling.component,
        ruling.option.playbook if ruling.option else None,
        ruling.cause.category.value,
        ruling.cause.signature,
        ruling.dry_run,
    )


def _next_at(following: Next, now: datetime, live: DecisionRow) -> datetime | None:
    if following.in_s is None:
        return None
    at = now + timedelta(seconds=following.in_s)
    if following.state is State.ASKING and live.expires_at is not None:
        return min(at, live.expires_at)
    return at
