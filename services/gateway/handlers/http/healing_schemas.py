"""Shapes of the answers about playbooks and healing."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from services.gateway.handlers.http.schemas import Asking, PackDifference
from shared.contracts.base import Category, Severity, Token
from shared.contracts.decider import Simulated
from shared.contracts.healer import Outcome, RunProgress, SimulatedRun
from shared.packs.playbook import Playbook

# ---- playbooks


class PlaybookInfo(BaseModel):
    """A playbook as it is in force."""

    pack: Token
    pack_version: int
    name: Token
    categories: list[str] = Field(description="Kinds of cause that it is for.")
    automation_level: str
    required_permissions: list[str]
    permitted: bool = Field(description="The pack's policy permits Homeostat to run it by itself.")
    reversible: bool = Field(description="Undone byte for byte.")
    ladder: list[str] = Field(description="What follows when it does not help, up to a person.")
    spec: dict[str, JsonValue]


class PlaybookResult(BaseModel):
    pack: Token
    name: Token
    version: int = Field(description="Of the pack; with `dry_run` the one that is in force.")
    changed: bool
    changes: list[PackDifference]


class PlaybookRevision(BaseModel):
    """A version of the pack in which the playbook became another."""

    version: int
    applied_at: AwareDatetime
    applied_by: str
    changes: list[PackDifference]
    spec: dict[str, JsonValue] | None = Field(description="Null: it was removed.")


# ---- healing


class HealingStatus(BaseModel):
    """What is being done now."""

    at: AwareDatetime
    running: list[RunProgress]
    queued: list[RunProgress] = Field(description="Another run is on their component.")
    asking: list[Asking]
    recent: list[Outcome]


class ProvenSolution(BaseModel):
    """A playbook that has helped with a problem."""

    playbook: str
    runs: int
    successes: int
    success_rate: float
    average_resolution_time_ms: int | None = Field(description="From the first sign to the confirmed end.")


class HealingPattern(BaseModel):
    """A problem that was acted on."""

    problem_signature: str
    category: str
    proven_solutions: list[ProvenSolution] = Field(description="The best first.")
    tried_in_vain: list[str]
    runs: int
    success_rate: float
    average_resolution_time_ms: int | None
    last_updated: AwareDatetime


class Spread(BaseModel):
    """Of the runs that helped, from the first sign on; null before the first."""

    mean_s: float | None
    p50_s: float | None
    p95_s: float | None


class HealingMetrics(BaseModel):
    """Measured over real runs; dry runs and skipped ones don't count. A share of nothing is null."""

    since: AwareDatetime
    incidents: int
    incidents_open: int
    incidents_acted_on: int
    incidents_healed: int = Field(description="A run helped, confirmed by the signals that had raised the incident.")
    incidents_over_without_a_run: int
    healed_share: float | None = Field(description="Of all incidents.")
    recovery_rate: float | None = Field(description="Of the incidents that were acted on.")
    runs: int
    runs_succeeded: int
    runs_rolled_back: int = Field(description="Did not help, and the undoing was verified.")
    runs_not_undone: int = Field(description="Did not help, and could not be undone for certain: a person was called.")
    success_rate: float | None
    detect_to_fix: Spread = Field(description="Until all steps were applied.")
    detect_to_recovery: Spread = Field(description="Until it was confirmed.")


class KeptBecause(BaseModel):
    reason: str
    confidence: float


class KeptBackup(BaseModel):
    """What was kept before a change."""

    backup_id: str
    timestamp: AwareDatetime
    files: list[str] = Field(description="Paths.")
    metadata: KeptBecause


class KeptBackups(BaseModel):
    backups: list[KeptBackup] = Field(description="Newest first.")
    total: int = Field(description="How many there are, shown or not.")


class SimulateHealing(BaseModel):
    """An incident as it is described, a playbook, or both."""

    component: Token
    category: Category | None = Field(default=None, description="Kind of cause: have the decider decide about it.")
    confidence: float = Field(default=0.9, ge=0, le=1)
    severity: Severity = Severity.CRITICAL
    pattern: str = Field(default="", max_length=200)
    playbook: Token | None = Field(default=None, description="By default the one that would be decided on.")
    spec: Playbook | None = Field(default=None, description="A playbook that is in no pack yet; for admins.")
    parameters: dict[str, str | int | float | bool] = Field(default={}, max_length=50)


class SimulatedHealing(BaseModel):
    decision: Simulated | None = None
    playbook: str | None = None
    run: SimulatedRun | None = Field(default=None, description="Null: nothing would be done.")
