"""What the healer does and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared.contracts.base import CaseEvent, Category, Event, Severity, Token, Wire
from shared.contracts.decider import Plan


class Phase(StrEnum):
    """Where a run is. The last four are final."""

    QUEUED = "queued"
    """Another run is on its component; not said by one that starts at once."""
    PLANNED = "planned"
    BACKED_UP = "backed-up"
    STEP = "step"
    APPLIED = "applied"
    """No longer said: `validating` follows the last step at once."""
    VALIDATING = "validating"
    """All steps are done, and their effect is watched."""
    ROLLING_BACK = "rolling-back"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    SKIPPED = "skipped"


class RunProgress(CaseEvent):
    """One thing a playbook run has done. `decision_id` is the run's id: one decision, one run."""

    SUBJECT: ClassVar[str] = "healer.run.v1"

    decision_id: UUID
    playbook: str
    phase: Phase
    step: str = ""
    detail: str = ""
    duration_ms: float | None = None
    dry_run: bool = False


class Result(StrEnum):
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    """Applied, not confirmed by validation, undone, and the undoing verified."""
    FAILED = "failed"
    """Neither healed nor verifiably undone: a person is needed."""
    SKIPPED = "skipped"
    """Nothing was touched: dry run, or what was to be healed had gone by itself."""


class Outcome(CaseEvent):
    """The end of a run."""

    SUBJECT: ClassVar[str] = "healer.outcome.v1"

    decision_id: UUID
    playbook: str
    signature: str
    category: Category
    confidence: float
    result: Result
    reason: str
    dry_run: bool = False
    changed: bool = True
    """False: it ended before its first step, so everything is as it was."""
    error_count_after: Annotated[int, Field(ge=0)] = 0
    backup_id: str | None = None
    steps: tuple[str, ...] = ()
    opened_at: AwareDatetime | None = None
    started_at: AwareDatetime
    applied_at: AwareDatetime | None = None
    finished_at: AwareDatetime
    escalate_to: str | None = None


class LeaseRenewal(CaseEvent):
    """A run is at work and needs its lease for longer; the decider answers with the lease's new end, or not at all."""

    SUBJECT: ClassVar[str] = "healer.renewal.v1"

    decision_id: UUID
    epoch: Annotated[int, Field(ge=1)]


class RouteChange(StrEnum):
    FAILOVER_TRIGGERED = "failover-triggered"
    RETURNED = "returned"


class RouteChanged(CaseEvent):
    """A run has led a component's traffic to another provider. If the run is rolled back, so is this: `Route` tells
    where traffic goes now."""

    SUBJECT: ClassVar[str] = "healer.route.v1"

    decision_id: UUID
    playbook: str
    change: RouteChange
    from_provider: str
    to_provider: str


class Message(CaseEvent):
    """What a playbook's `notify.send` has people told, on one channel of the component's pack."""

    SUBJECT: ClassVar[str] = "healer.message.v1"

    decision_id: UUID
    playbook: str
    channel: Token
    severity: Severity
    text: Annotated[str, Field(max_length=2_000)]


class Route(Event):
    """Which provider a component uses, as it was read where it stands (`state.healer.route.v1.<component>`)."""

    SUBJECT: ClassVar[str] = "state.healer.route.v1"

    component: Token
    provider: str
    primary: str
    since: AwareDatetime
    """When it was first seen to go there."""
    breakers: dict[str, str] = {}
    """State of each provider's circuit breaker, where the application tells it: `closed`, `open`, `half-open`."""


class SweepRequest(Wire):
    """Asks a service to look again at all it has, now (`cmd.<service>.sweep`)."""

    by: str = "homeostat"


class ListBackups(Wire):
    """Asks for the newest backups (`cmd.healer.backups`)."""

    component: Token | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class BackupFile(Wire):
    path: str
    sha256: str
    """Empty: there was no file."""
    link: str = ""
    """Where it points to, if the path is a symbolic link."""
    mode: int
    size: Annotated[int, Field(ge=0)]


class Backup(Wire):
    """What was kept before a change."""

    backup_id: str
    at: AwareDatetime
    component: Token
    decision_id: UUID | None
    reason: str
    confidence: float
    files: tuple[BackupFile, ...]
    restored_at: AwareDatetime | None = None
    restored_by: str = ""
    archive: str | None = None
    """The archive file that holds its bytes; it can be restored all the same."""


class Backups(Wire):
    """Reply to `ListBackups`, newest first."""

    backups: tuple[Backup, ...]
    total: Annotated[int, Field(ge=0)]


class Rollback(Wire):
    """A person has a backup's files put back (`cmd.healer.rollback`)."""

    backup_id: Annotated[str, Field(min_length=1, max_length=100)]
    by: Annotated[str, Field(min_length=1, max_length=200)]


class RolledBack(Wire):
    """Reply to `Rollback`: every file reads back as it was kept."""

    backup_id: str
    restored: tuple[str, ...]
    """Files that had to be changed; the others were so already."""
    safety_backup_id: str
    """Backup of what was there before going back."""


class VerifyBackups(Wire):
    """Has the next few contents of backups read back and compared with their names (`cmd.healer.verify-backups`)."""

    after: Annotated[str, Field(max_length=200)] = ""
    """`next` of the answer before; empty: from the beginning."""
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class VerifiedBackups(Wire):
    """Reply to `VerifyBackups`."""

    blobs: Annotated[int, Field(ge=0)] = 0
    archives: Annotated[int, Field(ge=0)] = 0
    bytes_read: Annotated[int, Field(ge=0)] = 0
    bad: tuple[str, ...] = ()
    """What is lost or changed, in words."""
    next: str | None = None
    """Ask again with this as `after`; null: all has been read."""


class SimulateRun(Wire):
    """Asks what a plan would do now (`cmd.healer.simulate`); it is looked at, and nothing is touched."""

    plan: Plan


class SimulatedStep(Wire):
    """One step as its actuator sees it."""

    actuator: str
    resource: str
    does: str
    """In words; empty when it can't be done."""
    problem: str = ""
    files: tuple[str, ...] = ()
    attempts: Annotated[int, Field(ge=1)] = 1
    undone: str = ""
    """How it would be undone."""


class SimulatedRun(Wire):
    """Reply to `SimulateRun`."""

    steps: tuple[SimulatedStep, ...] = ()
    backed_up: tuple[str, ...] = ()
    """Files that would be kept first."""
    unmet: str = ""
    """The precondition that does not hold now; empty: it would begin."""
    validation: tuple[str, ...] = ()
    """What would have to hold afterwards."""
    problem: str = ""
    """Why it can't be done as it is."""


# ---- practice


class Practised(Event):
    """What a practice proved of a playbook, as it was then; the newest of each."""

    SUBJECT: ClassVar[str] = "state.healer.practice.v1"
    KEY: ClassVar[str] = "slug"

    slug: Token
    """`pack` and `playbook` as one token: the subject's key."""
    pack: Token
    playbook: str
    target: Token
    practice_id: UUID
    spec_hash: str
    """Of the playbook that was practised: one that was changed since has proved nothing."""
    passed: bool
    reason: str
    way_back: Literal["proven", "impossible"] | None = None
    """`impossible`: the playbook can't be undone, and said so when it should be."""


class StartPractice(Wire):
    """Has playbooks practised in their practice targets, one after another (`cmd.healer.practice`)."""

    playbook: str | None = None
    """Unset: every one that says how it is practised."""
    pack: Token | None = None
    by: Annotated[str, Field(min_length=1, max_length=200)]


class PracticeBegun(Wire):
    """A practice that has begun."""

    practice_id: UUID
    pack: Token
    playbook: str
    target: Token


class PracticesBegun(Wire):
    """Reply to `StartPractice`."""

    begun: tuple[PracticeBegun, ...]
    refused: tuple[str, ...] = ()
    """Of several, those that could not begin, with the reason."""


class ListPractices(Wire):
    """Asks for the newest practices (`cmd.healer.practices`)."""

    playbook: str | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class PracticeRound(Wire):
    """One run of a practised playbook, with the states that were compared: hashes, or words, by what they are of."""

    round: str
    """`helping` or `returning`: the second has its validation broken on purpose."""
    status: str
    reason: str
    before: dict[str, str]
    broken: dict[str, str]
    after: dict[str, str]


class PracticeReport(Wire):
    """A practice with its evidence."""

    practice_id: UUID
    pack: Token
    playbook: str
    target: Token
    spec_hash: str
    by: str
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    verdict: Literal["passed", "failed", "aborted"] | None = None
    """Unset: under way. `aborted`: it says nothing of the playbook."""
    reason: str = ""
    way_back: Literal["proven", "impossible"] | None = None
    rounds: tuple[PracticeRound, ...] = ()


class Practices(Wire):
    """Reply to `ListPractices`, newest first."""

    practices: tuple[PracticeReport, ...]


# ---- agents on other hosts


class AgentState(Event):
    """Whether an agent is there (`state.healer.agent.v1.<name>`), told when that changes."""

    SUBJECT: ClassVar[str] = "state.healer.agent.v1"
    KEY: ClassVar[str] = "name"

    name: Token
    away: bool
    """Nothing was heard of it for three beats, or ever."""
    last_seen_at: AwareDatetime | None = None
    version: str = ""
    actuators: tuple[str, ...] = ()
    """What its own allow-list lets it do."""
    switched_off: bool = False


class ListAgents(Wire):
    """Asks for the agents (`cmd.healer.agents`)."""


class AgentList(Wire):
    """Reply to `ListAgents`, by name."""

    agents: tuple[AgentState, ...]
