"""What each durable step leaves behind, as JSON: all that a successor in another process knows of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.healer.domain.runs import Reason


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


class Applied(Record):
    at: datetime


class Reading(Record):
    """The component's errors at the middle of the window."""

    at: datetime
    errors: int


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
