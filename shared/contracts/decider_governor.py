"""What the governor allows now: who acts where, what is left to spend, and what forbids acting altogether."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import Token, Wire


class GovernorRequest(Wire):
    """Asks what the governor allows now (`cmd.decider.governor`)."""

    pack: Token | None = None
    """By default every pack."""


class HeldLease(Wire):
    """The right to act on one component, as it is held now."""

    component: Token
    epoch: Annotated[int, Field(ge=0)]
    """0: granted before there were epochs."""
    decision_id: UUID
    pack: Token
    playbook: str
    since: AwareDatetime
    until: AwareDatetime


class Spent(Wire):
    """What a component or a playbook has spent of its own budget of this hour."""

    name: str
    spent: Annotated[int, Field(ge=0)]
    allowed: Annotated[int, Field(ge=0)]


class PackAllowance(Wire):
    """What may be done in one pack now."""

    pack: Token
    mode: str
    spent: Annotated[int, Field(ge=0)]
    """Actions of the last hour."""
    allowed: Annotated[int, Field(ge=0)]
    busy: tuple[Token, ...] = ()
    """Components that are being acted on."""
    most_at_once: Annotated[int, Field(ge=1)]
    components: tuple[Spent, ...] = ()
    """Those that were acted on in the last hour."""
    playbooks: tuple[Spent, ...] = ()
    """Those that have a budget of their own."""
    frozen: tuple[str, ...] = ()
    """Freezes that are on."""
    in_maintenance: tuple[Token, ...] = ()
    """Components whose maintenance is on."""
    storm: str = ""
    """What is known of a storm of alarms; empty: there is none."""


class GovernorState(Wire):
    """Reply to `GovernorRequest`."""

    at: AwareDatetime
    switched_off: bool
    """The kill switch is on, as the decider sees it."""
    leases: tuple[HeldLease, ...] = ()
    packs: tuple[PackAllowance, ...] = ()
