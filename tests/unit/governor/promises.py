"""The promises about acting, one function each, held against what was seen: each raises `BrokenError` when broken."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.decider.store import CaseRow, DecisionRow, GrantRow
from services.healer.domain.runs import RunStatus
from services.healer.store.models import Run
from shared.contracts.decider import Decision, Lease, LeaseState
from tests.unit.governor.memory import BrokenError

NOTHING_LEFT_TO_DO = frozenset({"succeeded", "skipped"})


@dataclass(frozen=True, slots=True)
class Touch:
    """Something is about to be touched for a decision."""

    decision: Decision
    ordered: bool
    """The decider told to, and meant it."""
    switched_off: bool
    by_its_holder: bool
    others_here: frozenset[UUID]
    """Other runs that have touched the component and have not ended."""
    lease_is_over: bool
    targets_at_once: int


@dataclass(frozen=True, slots=True)
class Order:
    """The decider tells to act. Spent and acted on include it."""

    at: datetime
    decision: Decision
    switched_off: bool
    spent: int
    spent_here: int
    others_left_share: float
    """Of its group: healthy and left alone, beside its target; 1 where there is no group."""
    group_acted_on_share: float
    excused: bool
    """What is down is started, or mended while no other is acted on: that takes nothing away from the group."""
    serves_nobody: bool


@dataclass(slots=True)
class Seen:
    touches: list[Touch] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    leases: list[tuple[Lease, Lease | None]] = field(default_factory=list)
    """Each with the one that its component had before."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the pack lets happen."""

    actions_per_hour: int
    component_actions_per_hour: int
    targets_at_once: int
    min_healthy: float
    group_share: float


def never_two_runs_on_a_component(seen: Seen) -> None:
    for touch in seen.touches:
        if touch.others_here:
            raise BrokenError("two runs on one component")
        if not touch.by_its_holder:
            raise BrokenError("an action of a process that another has taken over from")


def one_lease_a_component_under_a_rising_epoch(seen: Seen) -> None:
    for lease, before in seen.leases:
        if before is None or lease.state is not LeaseState.HELD or lease.decision_id == before.decision_id:
            continue
        if lease.epoch <= before.epoch:
            raise BrokenError("an epoch that did not rise")
        if before.state is LeaseState.HELD:
            raise BrokenError("two leases of one component")


def budgets_are_never_exceeded(seen: Seen, allowed: Allowed) -> None:
    for order in seen.orders:
        if order.spent > allowed.actions_per_hour:
            raise BrokenError("the pack's budget is exceeded")
        if order.spent_here > allowed.component_actions_per_hour:
            raise BrokenError("the component's budget is exceeded")
    if any(touch.targets_at_once > allowed.targets_at_once for touch in seen.touches):
        raise BrokenError("too many targets at once")


def min_healthy_is_never_undercut(seen: Seen, allowed: Allowed) -> None:
    for order in seen.orders:
        if order.others_left_share < allowed.min_healthy and not order.excused:
            raise BrokenError("too few of the group would stay healthy")
        if order.group_acted_on_share > allowed.group_share and not order.serves_nobody:
            raise BrokenError("too many of the group at once")


def no_action_without_a_decision(seen: Seen) -> None:
    for touch in seen.touches:
        if not touch.ordered or touch.decision.dry_run:
            raise BrokenError("an action without a decision")
        if touch.lease_is_over:
            raise BrokenError("an action after its lease")


def no_action_after_the_kill_switch(seen: Seen) -> None:
    if any(touch.switched_off for touch in seen.touches):
        raise BrokenError("an action after the kill switch")
    if any(order.switched_off for order in seen.orders):
        raise BrokenError("an order while the kill switch is on")


def risk_over_the_limit_is_never_taken_alone(seen: Seen) -> None:
    """However sure."""
    for order in seen.orders:
        decision = order.decision
        if decision.decided_by == "homeostat" and decision.risk > decision.risk_max:
            raise BrokenError("a risk above the limit was taken")


def every_run_ends_succeeded_rolled_back_or_escalated(
    runs: Iterable[Run], grants: Iterable[GrantRow], cases: Collection[CaseRow], decisions: Collection[DecisionRow],
    now: datetime,
) -> None:  # fmt: skip
    """Once nothing more befalls anybody. The case of what was rolled back, failed or was lost is over, or was decided
    again: tried otherwise, asked about, or held back by a limit that has a name. It is never forgotten."""
    for run in runs:
        if not RunStatus(run.status).is_final:
            raise BrokenError(f"a run that never ends: {run.status}")
    for grant in grants:
        if grant.finished_at is None and grant.lease_until < now:
            raise BrokenError("a lease that never ends")
        if (
            grant.finished_at is not None
            and grant.result not in NOTHING_LEFT_TO_DO
            and not _followed(grant, cases, decisions)
        ):
            raise BrokenError("a run that failed, and nobody is asked")


def _followed(grant: GrantRow, cases: Iterable[CaseRow], decisions: Collection[DecisionRow]) -> bool:
    case = next(row for row in cases if row.case_id == grant.case_id)
    mine = next(row for row in decisions if row.decision_id == grant.decision_id)
    later = [row for row in decisions if row.case_id == grant.case_id and row.ordinal > mine.ordinal]
    if not case.is_open:
        return True
    if not later:
        return False
    last = max(later, key=lambda row: row.ordinal)
    if last.verdict == "abstain":
        return case.next_at is not None or last.reason in {"rejected", "expired"}
    return True
