"""Shapes of the answers. Lists and objects come in one envelope: `{"status": "success", "data": …}`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from services.gateway.domain.access import Role
from services.gateway.domain.pack_changes import ChangeKind
from services.gateway.domain.story import Act
from shared.contracts.base import CaseKind, Token
from shared.contracts.decider import Decision, Simulate, Simulated
from shared.contracts.detector import HealthStatus, Incident
from shared.contracts.healer import Outcome, RunProgress
from shared.contracts.learner import ThresholdProposal
from shared.contracts.predictor import Prediction


class Success[T](BaseModel):
    """An answer."""

    status: Literal["success"] = "success"
    data: T


class Listing[T](BaseModel):
    """A page of a list, newest first."""

    status: Literal["success"] = "success"
    data: list[T]
    next_cursor: str | None = Field(default=None, description="Where the next page begins; none: this is the last.")


class Ready(BaseModel):
    ready: bool
    problems: list[str] = []


class Live(BaseModel):
    live: bool


# ---- observing


class DatabaseCheck(BaseModel):
    status: HealthStatus
    latency_ms: float


class DockerCheck(BaseModel):
    status: HealthStatus
    containers_running: int = Field(description="Healthy components that run as a container.")


class ApiCheck(BaseModel):
    status: HealthStatus
    response_time_ms: float


class NatsCheck(BaseModel):
    status: HealthStatus
    connected: bool


class Checks(BaseModel):
    database: DatabaseCheck
    docker: DockerCheck
    api: ApiCheck
    nats: NatsCheck


class ComponentHealth(BaseModel):
    component: Token
    pack: str
    watched: bool = Field(description="Something looks at it. What nothing looks at doesn't count for the whole.")
    status: HealthStatus
    since: AwareDatetime | None
    error_count: int
    open_incidents: list[str]
    error_budgets: dict[str, float] = Field(
        default={}, description="Share of each objective's error budget that is left; below 0: overdrawn."
    )


class SystemHealth(BaseModel):
    overall_status: HealthStatus
    action_required: bool = Field(description="Something is critical, or a decision waits for a person.")
    confidence: float = Field(
        default=0.0, ge=0, le=1, description="Share of the watched components whose health is known."
    )
    checks: Checks
    components: list[ComponentHealth]


class PackSummary(BaseModel):
    pack: Token
    version: int
    mode: str
    components: int
    applied_at: AwareDatetime
    applied_by: str
    description: str = ""
    removed: bool = False


class Asking(BaseModel):
    """A decision that waits for a person."""

    decision_id: UUID
    component: Token
    playbook: str
    explanation: str
    expires_at: AwareDatetime | None


class SystemState(BaseModel):
    """One picture of everything now."""

    at: AwareDatetime
    health: SystemHealth
    packs: list[PackSummary]
    open_incidents: list[Incident]
    predictions: list[Prediction]
    running: list[RunProgress]
    asking: list[Asking]
    open_recommendations: int


class SituationInfo(BaseModel):
    """Incidents that belong together: the first stands for all, the others are what it brought about."""

    group_id: UUID
    status: Literal["open", "resolved"]
    priority: str
    components: list[str]
    incidents: list[Incident]


class IncidentStory(BaseModel):
    """An incident with what was decided and done about it."""

    incident: Incident
    decisions: list[Decision]
    outcomes: list[Outcome]


class StoryMoment(BaseModel):
    since_start_s: float
    at: AwareDatetime
    act: Act
    service: str
    title: str
    lines: list[str]
    event_id: str


class Trace(BaseModel):
    """The whole story of one case, oldest moment first."""

    case_id: UUID
    case_kind: CaseKind
    component: Token
    began_at: AwareDatetime
    trace_ids: list[str] = Field(description="OpenTelemetry traces in which it happened.")
    moments: list[StoryMoment]


class TypeStatistics(BaseModel):
    total: int
    successes: int
    rolled_back: int
    success_rate: float
    detect_to_fix_s: float | None = Field(description="Mean time from the first sign to the repair.")
    detect_to_recovery_s: float | None = Field(description="Mean time from the first sign to the confirmed end.")


class Statistics(BaseModel):
    """Figures of real runs; dry runs and skipped ones don't count."""

    since: AwareDatetime
    total_fixes: int
    success_rate: float | None = Field(description="None while there are no fixes.")
    by_type: dict[str, TypeStatistics] = Field(description="By playbook.")
    by_category: dict[str, TypeStatistics]
    incidents: dict[str, int] = Field(description="How many are open and resolved.")
    decisions: dict[str, int] = Field(description="How many ended in each verdict.")
    last_updated: AwareDatetime


# ---- acting


class AnswerBody(BaseModel):
    comment: str = Field(default="", max_length=1024)


class HealBody(BaseModel):
    """Which playbook is wanted where."""

    component: Token
    playbook: Token
    comment: str = Field(default="", max_length=1024)
    parameters: dict[str, str | int | float | bool] = Field(
        default={}, max_length=50, description="Values for the playbook's parameters; its defaults for the others."
    )


class PracticeBody(BaseModel):
    """Which playbook is to be practised; without one, every one that says how."""

    playbook: Token | None = None
    pack: Token | None = None


class Requested(BaseModel):
    case_id: UUID
    trace: str = Field(description="Path at which the story of this request can be followed.")


class DecideBody(Simulate):
    """A trouble as it is seen, and whether what is decided is to be done."""

    act: bool = Field(default=False, description="Have it done, within the limits; otherwise it is only said.")
    comment: str = Field(default="", max_length=1024)


class AutonomyBody(BaseModel):
    """Which playbook, on which problem, and why."""

    pack: Token
    playbook: Token
    signature: str = Field(min_length=1, max_length=500)
    reason: str = Field(min_length=3, max_length=1024)


class OverrideBody(BaseModel):
    """What is to be instead of a decision, and why."""

    decision_id: UUID
    verdict: Literal["execute", "abstain"]
    playbook: Token | None = Field(default=None, description="By default the decision's own.")
    reason: str = Field(min_length=3, max_length=1024)


class Decided(BaseModel):
    """What was decided; with `act` also the request that was made of it."""

    decision: Simulated
    requested: Requested | None = None


Glob = Annotated[str, Field(min_length=1, max_length=200)]


class SilenceBody(BaseModel):
    """What to silence, and for how long. `*` and `?` stand for any text."""

    component: Glob = "*"
    pattern: Glob = "*"
    labels: dict[str, Glob] = Field(default={}, max_length=20)
    for_s: float = Field(gt=0, le=30 * 86_400, description="Seconds, from `starts_at` on.")
    starts_at: AwareDatetime | None = Field(default=None, description="None: now.")
    reason: str = Field(min_length=1, max_length=500)


class SilenceInfo(BaseModel):
    id: UUID
    component: str
    pattern: str
    labels: dict[str, str]
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: str
    created_by: str


class PhaseReport(BaseModel):
    """What one service did when it was asked to look again."""

    service: str
    ok: bool
    looked_at: int
    summary: str
    duration_ms: float


class Cycle(BaseModel):
    complete: bool = Field(description="Every service answered in time.")
    duration_ms: float
    phases: list[PhaseReport]


class Message(BaseModel):
    message: str


class RollbackReport(Message):
    backup_id: str
    restored: list[str]
    safety_backup_id: str


# ---- packs


class PackDifference(BaseModel):
    kind: ChangeKind
    where: str
    before: JsonValue
    after: JsonValue


class PackValid(BaseModel):
    pack: Token
    components: int
    collisions: list[str] = Field(description="Components that another pack has already; with any, apply is refused.")


class PackDiff(BaseModel):
    pack: Token
    from_version: int | None
    changes: list[PackDifference]


class PackResult(BaseModel):
    pack: Token
    version: int
    changed: bool
    changes: list[PackDifference]


class PackDetail(PackSummary):
    body: dict[str, JsonValue] | None


# ---- what was learned


LONGEST_LINE = 4_096


class ThresholdBody(BaseModel):
    proposal_id: UUID = Field(description="Of a proposal, as `GET` gives it.")


class ThresholdChange(BaseModel):
    id: UUID
    proposal_id: UUID
    pack: Token
    playbook: Token
    before: float | None = Field(description="The playbook's own; null: it had the policy's.")
    after: float
    version: int = Field(description="Of the pack, that brought it.")
    proposal: ThresholdProposal = Field(description="What was expected of it when it was applied.")
    applied_by: str
    applied_at: AwareDatetime
    undone_by: str | None
    undone_at: AwareDatetime | None


class ThresholdsReport(BaseModel):
    proposals: list[ThresholdProposal]
    looked_at: int = Field(description="Playbooks with decisions that only the threshold decided.")
    changes: list[ThresholdChange] = Field(description="Proposals that were applied, newest first.")


class RefusedLine(BaseModel):
    line: int = Field(description="Its number in the body, from 1.")
    reason: str


class KnowledgeImport(BaseModel):
    added: int
    known: int = Field(description="Runs that were known already: they count once.")
    refused: list[RefusedLine]


# ---- administering


class TokenBody(BaseModel):
    name: str = Field(min_length=1, max_length=100, pattern=r"^[\w.@ -]+$")
    role: Role
    expires_in_days: float | None = Field(default=None, gt=0, le=3650)
    permissions: list[Token] = Field(
        default=[], max_length=100, description="Of what playbooks ask for in `required_permissions`; an admin has all."
    )


class TokenInfo(BaseModel):
    id: UUID
    name: str
    role: Role
    permissions: list[str] = []
    created_at: AwareDatetime
    created_by: str
    expires_at: AwareDatetime | None


class NewToken(TokenInfo):
    token: str = Field(description="Shown this once: only its hash is kept.")


class AuditEntry(BaseModel):
    seq: int
    at: AwareDatetime
    actor: str
    role: str
    action: str
    target: str
    result: str
    status: int
    detail: dict[str, JsonValue]


class Verified(BaseModel):
    """Whether the hash chains are whole."""

    intact: bool
    first_broken: dict[str, int] = Field(description="Number of the first row that was tampered with, by table.")
    heads: dict[str, str] = Field(description="The newest link of each, `seq:hash`: to be kept elsewhere.")


class DeadLetterView(BaseModel):
    seq: int
    service: str
    handler: str
    subject: str
    reason: str
    stored_at: AwareDatetime | None
    body: str = Field(description="The first characters of the message.")


class NotificationInfo(BaseModel):
    """One thing told, or to be told, on one channel."""

    id: UUID
    pack: str
    channel: str
    kind: str
    severity: str
    component: str
    case_id: UUID
    title: str
    state: str
    attempts: int
    error: str
    created_at: AwareDatetime
    sent_at: AwareDatetime | None


class ChannelBody(BaseModel):
    """The channel to try."""

    channel: Token
    pack: Token | None = None
