"""The one place where a right to act is given, renewed and taken back: in the unit that writes the decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from services.decider.domain import Case, Inputs, Ledger, Move, Result, Ruling, Verdict
from services.decider.domain.governor import REMEMBERED, lease_s, moves_of, renewed_until
from services.decider.store import GrantRow, cases, decisions, grants
from shared.contracts.decider import Lease, LeaseState
from shared.contracts.healer import LeaseRenewal
from shared.outbox import Unit
from shared.packs.book import Placed

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
        length_s, target = lease_s(option.spec), inputs.targets[option.component]
        row = GrantRow(
            decision_id=decision_id,
            case_id=inputs.case.id,
            pack=target.pack,
            component=option.component,
            playbook=option.playbook,
            cooldown_s=option.spec.cooldown_s,
            granted_at=unit.now,
            lease_until=unit.now + timedelta(seconds=length_s),
            lease_s=length_s,
            signature=option.cause.signature,
            kind=target.component.kind,
            epoch=await grants.next_epoch(unit.session, option.component),
            moves=moves_of(inputs.case, target, option.spec),
        )
        grants.add(unit.session, row)
        return self._tell(unit, row, LeaseState.HELD)

    async def ledgers(self, unit: Unit, case: Case, placed: Mapping[str, Placed]) -> dict[str, Ledger]:
        """What is going on around each of these components, as the limits are compared with it."""
        packs = {one.pack.pack for one in placed.values()}
        recent = await grants.recent(unit.session, packs, placed, unit.now - grants.BUDGET_WINDOW)
        past = await grants.past(unit.session, placed, unit.now - REMEMBERED)
        cooling = await grants.cooling(unit.session, placed, unit.now)
        asked = await decisions.asked_elsewhere(unit.session, placed, case.id)
        troubled = await cases.with_open_incident(unit.session, placed, case.id)
        return {
            name: Ledger(
                granted_last_hour=sum(row.granted for row in recent if row.pack == one.pack.pack),
                busy_targets=_busy(recent, one.pack.pack, name),
                cooling_until=cooling.get(name, {}),
                asked_elsewhere=asked.get(name, ()),
                incident_open=name in troubled,
                granted_here_last_hour=sum(row.granted for row in recent if row.component == name),
                playbook_last_hour=_by_playbook(recent, one.pack.pack),
                last_acted_at=max(
                    (run.finished_at or run.granted_at for run in past if run.component == name), default=None
                ),
                moves=tuple(
                    Move(run.granted_at, setting, way)
                    for run in past
                    if run.component == name
                    for setting, way in run.moves.items()
                ),
            )
            for name, one in placed.items()
        }

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


def _busy(recent: Iterable[grants.Recent], pack: str, component: str) -> tuple[str, ...]:
    return tuple(
        sorted({row.component for row in recent if row.busy and (row.pack == pack or row.component == component)})
    )


def _by_playbook(recent: Iterable[grants.Recent], pack: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in recent:
        if row.pack == pack and row.granted:
            counts[row.playbook] += row.granted
    return dict(counts)
