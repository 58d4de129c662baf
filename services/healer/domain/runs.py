"""What a run is, why it ends as it does, and what is left to say when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class RunStatus(StrEnum):
    """Where a run is. `QUEUED`: another run is on its component; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self not in {RunStatus.QUEUED, RunStatus.RUNNING}


class Reason(StrEnum):
    """Why a run ended: metric label, log field and heart of the outcome's explanation."""

    HEALED = "healed"
    DRY_RUN = "dry-run"
    ALREADY_RESOLVED = "already-resolved"
    STALE = "stale"
    """Decided too long ago: what it rested on may have changed."""
    SWITCHED_OFF = "switched-off"
    PRECONDITION = "precondition"
    """Something that the playbook asks for did not hold the moment before acting."""
    FENCED = "fenced"
    """Its lease was over: what the decider has allowed since, this run must not disturb."""
    PLAN_FAILED = "plan-failed"
    BACKUP_FAILED = "backup-failed"
    STEP_FAILED = "step-failed"
    NOT_CLEARED = "not-cleared"
    ERRORS_CONTINUED = "errors-continued"
    CRITERION_NOT_MET = "criterion-not-met"
    INTERRUPTED = "interrupted"


class Undoing(StrEnum):
    """What became of the way back."""

    NOTHING_APPLIED = "nothing-applied"
    NOT_WANTED = "not-wanted"
    VERIFIED = "verified"
    INCOMPLETE = "incomplete"
    FORBIDDEN = "forbidden"
    FENCED = "fenced"


BEFORE_ANY_STEP = frozenset({Reason.PLAN_FAILED, Reason.BACKUP_FAILED})


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, in the terms of its outcome."""

    status: RunStatus
    reason: Reason
    detail: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was, or may have been, changed."""
        return self.status is not RunStatus.SKIPPED and self.reason not in BEFORE_ANY_STEP

    @property
    def explanation(self) -> str:
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


def ending_of_failure(reason: Reason, undoing: Undoing, details: Sequence[str]) -> Ending:
    """The end of a run that did not heal: rolled back only when the undoing was verified.

    >>> ending_of_failure(Reason.NOT_CLEARED, Undoing.VERIFIED, ["incident still open"]).status.value
    'rolled-back'
    """
    status = RunStatus.ROLLED_BACK if undoing is Undoing.VERIFIED else RunStatus.FAILED
    if reason is Reason.PRECONDITION and undoing is Undoing.NOTHING_APPLIED:
        status = RunStatus.SKIPPED
    said = {
        Undoing.NOTHING_APPLIED: "nothing had been changed",
        Undoing.NOT_WANTED: "the playbook says `rollback: none`",
        Undoing.VERIFIED: "undone and verified",
        Undoing.INCOMPLETE: "not wholly undone: a person is needed",
        Undoing.FORBIDDEN: "not undone, because the kill switch is on: a person is needed",
        Undoing.FENCED: "not undone, because the component is no longer this run's: a person is needed",
    }[undoing]
    return Ending(status, reason, "; ".join([*details, said]))


def backup_id(planned_at: datetime, run: UUID) -> str:
    """`backup_YYYYmmdd_HHMMSS_<8 hex digits>`: the time in UTC for people, the digits so that no two collide."""
    return f"backup_{planned_at:%Y%m%d_%H%M%S}_{run.hex[:8]}"


def resolution_time_ms(opened_at: datetime | None, started_at: datetime, finished_at: datetime) -> int:
    """From the opening of the incident (or the start of the run, where nothing was open) to the end."""
    begin = min(opened_at, started_at) if opened_at else started_at
    return max(0, round((finished_at - begin).total_seconds() * 1000))
