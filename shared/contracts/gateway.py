"""What people tell Homeostat through the gateway: packs, kept as the last value of each subject."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from shared.contracts.base import CaseEvent, CaseKind, Event, Token


class PackApplied(Event):
    """A pack as it is in force. `body` is the validated pack (`shared.packs.Pack`) as JSON; null: it was removed."""

    SUBJECT: ClassVar[str] = "state.gateway.pack.v1"
    KEY: ClassVar[str] = "pack"

    pack: Token
    version: Annotated[int, Field(ge=1)]
    applied_by: str
    body: dict[str, JsonValue] | None


class ManualRequest(CaseEvent):
    """A person asks for a playbook on a component (`gateway.request.v1.<component>`): the same door as every action."""

    SUBJECT: ClassVar[str] = "gateway.request.v1"

    case_kind: CaseKind = CaseKind.REQUEST
    playbook: str
    by: str
    comment: str = ""
