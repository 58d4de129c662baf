"""What each durable step leaves behind, as JSON: all that a successor in another process knows of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.healer.domain.practice import Return, Verdict
from services.healer.domain.runs import Reason
from shared.contracts.decider import Plan
from shared.packs.practice import Practice


class Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlannedStep(Record):
    """A step as it was seen before anything was touched."""

    name: str
    resource: str
    files: tuple[str, ...]
    facts: dict[str, str | int | float | bool | None]
    description: str


class Planned(Record):
    at: datetime
    steps: tuple[PlannedStep, ...] = ()
    stop: Reason | None = None
    """Why nothing is to be done."""
    detail: str = ""


class Kept(Record):
    """The backup, if there was anything to keep."""

    backup_id: str | None = None
    error: str = ""


class Looked(Record):
    facts: dict[str, str | int | float | bool | None] = {}
    error: str = ""


class Acted(Record):
    """A step was tried."""

    detail: str = ""
    error: str = ""
    duration_ms: float = 0.0
    switched_off: bool = False
    """As `held_back`, in records of before there were leases."""
    held_back: bool = False
    """The kill switch was on or the lease was over, so it was not tried; `error` says which."""
    unmet: str = ""
    """The precondition that no longer held, so that it was not tried again."""

    @property
    def was_held_back(self) -> bool:
        return self.held_back or self.switched_off


class Checked(Record):
    """The playbook's preconditions, looked at the moment before acting."""

    unmet: str = ""
    """The first that does not hold, in words; empty: all hold."""


class Applied(Record):
    at: datetime


class Reading(Record):
    """The component's errors at the middle of the window."""

    at: datetime
    errors: int
    dependents: dict[str, int] = {}
    """Errors of the components that depend on it."""


class Judged(Record):
    reason: Reason
    errors: int
    detail: str = ""


class Restored(Record):
    """Files put back and read back; `errors` says what could not be."""

    paths: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Undone(Record):
    detail: str = ""
    error: str = ""


class Undoable(Record):
    """Whether undoing may begin."""

    switched_off: bool = False
    """As `refused`, in records of before there were leases."""
    refused: str = ""


class Finished(Record):
    status: str


# ---- practice


class PracticeOrder(Record):
    """What is to be practised, where, and who asked; the input of its workflow."""

    practice_id: UUID
    at: datetime
    by: str
    plan: Plan
    """Of the practice target."""
    practice: Practice
    spec_hash: str


class Prepared(Record):
    """The healthy target, and the backup from which it is put back; `stop` says why it can't be practised on."""

    before: dict[str, str] = {}
    backup_id: str = ""
    stop: str = ""


class Broken(Record):
    """The target after the fault."""

    at: datetime
    state: dict[str, str] = {}
    error: str = ""


class Ended(Record):
    """A round that is over: how its run ended, and what it left."""

    status: str = ""
    reason: str = ""
    state: dict[str, str] = {}
    error: str = ""


class Reset(Record):
    error: str = ""


class Concluded(Record):
    verdict: Verdict
    reason: str
    way_back: Return | None = None
