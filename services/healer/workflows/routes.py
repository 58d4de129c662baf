"""What a run says when it leads a component's traffic elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import uuid5

from services.healer.clients.base import Facts, text
from services.healer.workflows.journal import plan_of
from shared.contracts.decider import Decision
from shared.contracts.healer import RouteChange, RouteChanged

ROUTE_CHANGES: Mapping[str, RouteChange] = {
    "routing.failover": RouteChange.FAILOVER_TRIGGERED,
    "routing.failback": RouteChange.RETURNED,
}
"""Actuators that change the provider in use."""


def route_changed(decision: Decision, index: int, change: RouteChange, facts: Facts, now: datetime) -> RouteChanged:
    """The same event, with the same id, however often the step is repeated."""
    return RouteChanged(
        id=uuid5(decision.decision_id, f"route:{index}"),
        at=now,
        component=decision.component,
        case_id=decision.case_id,
        case_kind=decision.case_kind,
        decision_id=decision.decision_id,
        playbook=plan_of(decision).playbook,
        change=change,
        from_provider=text(facts, "from"),
        to_provider=text(facts, "to"),
    )
