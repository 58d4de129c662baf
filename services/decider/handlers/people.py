"""What people ask the decider: to approve, to reject, and what it would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from services.decider.domain import (
    Approval,
    Case,
    CaseKind,
    Cause,
    Declined,
    Reason,
    Result,
    Tried,
    Verdict,
    decide,
    expected_outcome,
)
from services.decider.domain.vocabulary import MEANING
from services.decider.handlers import translate
from services.decider.handlers.casework import Casework
from services.decider.store import CaseRow, DecisionRow, cases, decisions
from shared.contracts import decider
from shared.contracts.decider import Answer, Answered, Simulate, Simulated, Verb
from shared.outbox import Unit


@dataclass
class People:
    """Commands of `cmd.decider`."""

    work: Casework

    async def answer(self, request: Answer, unit: Unit) -> Answered:
        """Approves or rejects what is asked now. An approval is checked against the hard limits again."""
        found = await decisions.by_id(unit.session, request.decision_id)
        row = await cases.lock(unit.session, found.case_id) if found else None
        live = await decisions.live(unit.session, row.case_id) if row else None
        refusal = _refusal(request, live, unit)
        if refusal or row is None or live is None:
            return Answered(accepted=False, reason=refusal, decision_id=request.decision_id)
        if request.verb is Verb.REJECT:
            await self._reject(request, row, live, unit)
            return Answered(accepted=True, reason=Reason.REJECTED.value, decision_id=request.decision_id)
        return await self._approve(request, row, live, unit)

    async def _reject(self, request: Answer, row: CaseRow, live: DecisionRow, unit: Unit) -> None:
        no = Declined(Reason.REJECTED, live.chosen_action or "", live.component, request.by)
        cases.keep(row, replace(cases.facts_of(row), declined=no), unit.now)
        await self.work.decide(unit, row)

    async def _approve(self, request: Answer, row: CaseRow, live: DecisionRow, unit: Unit) -> Answered:
        if live.chosen_action is None:
            reason = "there is nothing to approve: no playbook is left, run one by hand"
            return Answered(accepted=False, reason=reason, decision_id=request.decision_id)
        approval = Approval(request.by, live.chosen_action, live.component, request.comment, request.permissions)
        ruling = await self.work.decide(unit, row, approval)
        if ruling.verdict is Verdict.EXECUTE:
            return Answered(accepted=True, reason=ruling.reason.value, decision_id=request.decision_id)
        detail = f": {ruling.detail}" if ruling.detail else ""
        return Answered(accepted=False, reason=MEANING[ruling.reason] + detail, decision_id=request.decision_id)

    async def simulate(self, request: Simulate, unit: Unit) -> Simulated:
        """Decides a case that there is not, with everything else as it is."""
        signature = request.signature or f"{request.category.value}:{request.pattern}"
        case = Case(
            id=self.work.ids(),
            kind=CaseKind.INCIDENT,
            component=request.component,
            opened_at=unit.now - timedelta(seconds=1),
            pattern=request.pattern,
            severity=request.severity.value,
            causes=(Cause(request.component, request.category, request.confidence, signature),),
            tried=tuple(Tried(name, request.component, Result.ROLLED_BACK) for name in request.attempts),
        )
        inputs = await self.work.world.inputs(unit, case)
        if request.mode is not None:
            targets = {name: replace(one, mode=request.mode) for name, one in inputs.targets.items()}
            inputs = replace(inputs, targets=targets)
        ruling = decide(inputs)
        return Simulated(
            verdict=decider.Verdict(ruling.verdict.value),
            reason=ruling.reason.value,
            playbook=ruling.option.playbook if ruling.option else None,
            component=ruling.component,
            confidence=ruling.confidence,
            threshold=ruling.threshold,
            risk=ruling.risk,
            risk_max=ruling.risk_max,
            mode=ruling.mode.value,
            alternatives=translate.alternatives(ruling),
            explanation=ruling.explanation,
            expected_outcome=expected_outcome(ruling),
        )


def _refusal(request: Answer, live: DecisionRow | None, unit: Unit) -> str:
    """Why the answer comes to nothing; empty when it counts."""
    if live is None or live.decision_id != request.decision_id:
        return f"decision {request.decision_id} no longer asks"
    if live.verdict != Verdict.ASK.value:
        return f"decision {request.decision_id} does not ask: it is {live.verdict} ({live.reason})"
    if live.expires_at is not None and live.expires_at <= unit.now:
        return f"the question lapsed at {live.expires_at:%H:%M:%S} UTC"
    if request.revision is not None and request.revision != live.revision:
        return f"the question has changed since revision {request.revision}: read revision {live.revision}"
    return ""
