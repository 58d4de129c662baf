"""What people tell Homeostat through the gateway: packs, kept as the last value of each subject."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field, JsonValue

from shared.contracts.base import CaseEvent, CaseKind, Event, Token


class PackApplied(Event):
    """A pack as it is in force. `body` is the validated pack (`shared.packs.Pack`) as JSON; null: it was removed."""

    SUBJECT: ClassVar[str] = "state.gateway.pack.v1"
    KEY: ClassVar[str] = "pack"

    pack: Token
    version: Annotated[int, Field(ge=1)]
    applied_by: str
    body: dict[str, JsonValue] | None


class Silence(Event):
    """For whom nobody is to be troubled, from when to when (`state.gateway.silence.v1.<slot>`). Ended: `ends_at` has
    passed. Slots are used again, so that last values don't pile up."""

    SUBJECT: ClassVar[str] = "state.gateway.silence.v1"
    KEY: ClassVar[str] = "slot"

    slot: Token
    silence_id: str
    component: str = "*"
    """`*` and `?` stand for any text, in `pattern` and the values of `labels` too."""
    pattern: str = "*"
    labels: dict[str, str] = {}
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: str = ""
    by: str = ""


class ManualRequest(CaseEvent):
    """A person asks for a playbook on a component (`gateway.request.v1.<component>`): the same door as every action."""

    SUBJECT: ClassVar[str] = "gateway.request.v1"

    case_kind: CaseKind = CaseKind.REQUEST
    playbook: str
    by: str
    comment: str = ""
    permissions: tuple[str, ...] = ()
    """What that person may do of what playbooks ask for in `required_permissions`; `*`: all of it."""
    parameters: dict[str, str | int | float | bool] = {}
    """Values for the playbook's parameters; its defaults for the others."""
