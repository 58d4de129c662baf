"""The one place where a right to act is given, renewed and taken back: in the unit that writes the decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from services.decider.domain import Inputs, Result, Ruling, Verdict
from services.decider.domain.governor import lease_s, renewed_until
from services.decider.store import GrantRow, grants
from shared.contracts.decider import Lease, LeaseState
from shared.contracts.healer import LeaseRenewal
from shared.outbox import Unit

log = structlog.get_logger()


@dataclass
class Governor:
    """Leases: one a component, kept as the grant that is open. The locks of the packs must be held to give one."""

    ids: Callable[[], UUID]

    async def grant(self, unit: Unit, inputs: Inputs, ruling: Ruling, decision_id: UUID) -> Lease | None:
        """The lease of a decision to act, under an epoch that no run on this component had before; None for others."""
        option = ruling.option
        if ruling.verdict is not Verdict.EXECUTE or option is None:
            return None
        length_s = lease_s(option.spec)
        row = GrantRow(
            decision_id=decision_id,
            case_id=inputs.case.id,
            pack=inputs.targets[option.component].pack,
            component=option.component,
            playbook=option.playbook,
            cooldown_s=option.spec.cooldown_s,
            granted_at=unit.now,
            lease_until=unit.now + timedelta(seconds=length_s),
            lease_s=length_s,
            signature=option.cause.signature,
            kind=inputs.targets[option.component].component.kind,
            epoch=await grants.next_epoch(unit.session, option.component),
            moves={},
        )
        grants.add(unit.session, row)
        return self._tell(unit, row, LeaseState.HELD)

    async def renewal(self, event: LeaseRenewal, unit: Unit) -> None:
        """A run at work keeps its component. One whose lease has lapsed, or was another's, is not answered."""
        row = await grants.lock(unit.session, event.decision_id)
        if row is None or row.finished_at is not None or row.epoch != event.epoch:
            log.warning("lease not renewed", component=event.component, epoch=event.epoch)
            return
        row.lease_until = renewed_until(row.lease_until, unit.now, row.lease_s)
        self._tell(unit, row, LeaseState.HELD)

    def release(self, unit: Unit, row: GrantRow, result: Result) -> None:
        """The run has ended, or nothing was heard of it: the component is free."""
        row.finished_at, row.result = unit.now, result.value
        self._tell(unit, row, LeaseState.LAPSED if result is Result.LOST else LeaseState.RELEASED)

    def _tell(self, unit: Unit, row: GrantRow, state: LeaseState) -> Lease | None:
        if row.epoch == 0:
            return None  # granted before there were epochs
        lease = Lease(
            id=self.ids(),
            at=unit.now,
            component=row.component,
            epoch=row.epoch,
            decision_id=row.decision_id,
            playbook=row.playbook,
            state=state,
            until=row.lease_until,
        )
        unit.emit(lease)
        return lease
