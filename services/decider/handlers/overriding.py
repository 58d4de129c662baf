"""A person's word against a decision: carried out where it still can be, and kept to learn from in any case."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.decider.domain import Approval, Declined, Reason, Verdict
from services.decider.domain.life import State
from services.decider.domain.vocabulary import MEANING
from services.decider.handlers.casework import Casework
from services.decider.store import CaseRow, DecisionRow, OverrideRow, cases, decisions, trust
from shared.bus import CommandRefusedError
from shared.contracts import base, decider
from shared.contracts.decider_governance import Overridden, Override
from shared.outbox import Unit


@dataclass
class Overriding:
    """`cmd.decider.override`."""

    work: Casework

    async def override(self, request: Override, unit: Unit) -> Overridden:
        """Replaces what was decided, within the hard limits; of what is past or under way it is a label."""
        found = await decisions.by_id(unit.session, request.decision_id)
        row = await cases.lock(unit.session, found.case_id) if found else None
        if found is None or row is None:
            raise CommandRefusedError(f"there is no decision {request.decision_id}: see `homeostat decisions`")
        live = await decisions.live(unit.session, row.case_id)
        was, was_playbook = Verdict(found.verdict), found.chosen_action
        signature, component = found.signature, found.component
        wanted = Verdict(request.verdict.value)
        playbook = (request.playbook or was_playbook) if wanted is Verdict.EXECUTE else None
        if wanted is Verdict.EXECUTE and playbook is None:
            raise CommandRefusedError("nothing was considered in this decision: say which playbook, with `playbook`")
        if (wanted, playbook) == (was, was_playbook) and found.helped is None:
            raise CommandRefusedError(f"that is what was decided: {was.value} {was_playbook or ''}".rstrip())
        pending = live is not None and live.decision_id == found.decision_id and row.state != State.RUNNING.value
        if pending and wanted is Verdict.EXECUTE and playbook is not None:
            await self._run(request, row, found, playbook, unit)
        elif pending:
            await self._leave(request, row, found, unit)
        helped = _label(found, wanted, playbook, was_playbook)
        if helped is not None:
            found.helped = helped
        told = Overridden(
            at=unit.now,
            component=component,
            case_id=found.case_id,
            case_kind=base.CaseKind(found.decision_type),
            decision_id=found.decision_id,
            signature=signature,
            was=decider.Verdict(was.value),
            was_playbook=was_playbook,
            verdict=request.verdict,
            playbook=playbook,
            by=request.by,
            reason=request.reason,
            applied=pending,
            helped=helped,
        )
        trust.add(unit.session, _row(told))
        unit.emit(told)
        return told

    async def _run(self, request: Override, row: CaseRow, found: DecisionRow, playbook: str, unit: Unit) -> None:
        approval = Approval(request.by, playbook, found.component, request.reason, request.permissions, overrides=True)
        ruling = await self.work.decide(unit, row, approval)
        if ruling.verdict is not Verdict.EXECUTE:
            detail = f": {ruling.detail}" if ruling.detail else ""
            raise CommandRefusedError(f"{playbook} can't be run now: {MEANING[ruling.reason]}{detail}")

    async def _leave(self, request: Override, row: CaseRow, found: DecisionRow, unit: Unit) -> None:
        no = Declined(Reason.REJECTED, found.chosen_action or "", found.component, request.by)
        cases.keep(row, replace(cases.facts_of(row), declined=no), unit.now)
        await self.work.decide(unit, row)


def _label(found: DecisionRow, wanted: Verdict, playbook: str | None, was_playbook: str | None) -> bool | None:
    """What a person's word says of a run that has ended; None where there was none."""
    if found.helped is None:
        return None
    return wanted is Verdict.EXECUTE and playbook == was_playbook


def _row(told: Overridden) -> OverrideRow:
    return OverrideRow(
        id=told.id,
        decision_id=told.decision_id,
        signature=told.signature,
        was_verdict=told.was.value,
        was_playbook=told.was_playbook,
        verdict=told.verdict.value,
        playbook=told.playbook,
        by=told.by,
        reason=told.reason,
        applied=told.applied,
        helped=told.helped,
        at=told.at,
    )
