"""What a decision is made from. All of it is stored with the decision, so that it can be made again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.decider.domain.vocabulary import FAILURES, CaseKind, Moment, Reason, Result
from shared.packs import Category, Component, Criticality, Knob, Mode, Playbook, Policy


@dataclass(frozen=True, slots=True)
class Cause:
    """A candidate cause of the case, best first in `Case.causes`."""

    component: str
    category: Category
    confidence: float
    signature: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A run of this case that has ended."""

    playbook: str
    component: str
    result: Result
    changed: bool = True
    """Whether it came to a step at all."""


@dataclass(frozen=True, slots=True)
class Declined:
    """A person's no, or a question that nobody answered: not asked again for the same."""

    reason: Reason
    playbook: str
    component: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """A person's request for a playbook."""

    playbook: str
    by: str
    permissions: tuple[str, ...] = ("*",)
    """What that person may do; a record of before there were permissions was made by one who might do all."""
    parameters: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Values that were given to the playbook."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a prediction says."""

    metric: str
    moment: Moment
    eta_s: float
    probability: float
    current: float = 0.0
    limit: float = 0.0
    traffic_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """A recommended value of a knob."""

    knob: str
    value: float
    risk: float
    current: float | None = None
    """What it is now, as far as the optimizer knows."""


@dataclass(frozen=True, slots=True)
class Case:
    """One incident, prediction, recommendation or request, with what has been done about it."""

    id: UUID
    kind: CaseKind
    component: str
    opened_at: datetime
    is_open: bool = True
    pattern: str = ""
    severity: str = "critical"
    flapping: bool = False
    silenced: str = ""
    """Why nobody is to be troubled with it; empty: it isn't silenced."""
    causes: tuple[Cause, ...] = ()
    diagnosed_at: datetime | None = None
    symptom_of: UUID | None = None
    culprit_unaided: bool = False
    """Nothing can be done, or no more is tried, about the incident that this one is a symptom of."""
    forecast: Forecast | None = None
    requested: Requested | None = None
    tuning: Tuning | None = None
    tried: tuple[Tried, ...] = ()
    declined: Declined | None = None
    held_since: datetime | None = None
    """When it was first left alone at random."""

    @property
    def last_failure(self) -> Tried | None:
        """The newest run that did anything, when it did not help: a skipped one leaves its rung of the ladder."""
        last = next((one for one in reversed(self.tried) if one.result is not Result.SKIPPED), None)
        return last if last is not None and last.result in FAILURES else None

    def failed_since_success(self) -> frozenset[tuple[str, str]]:
        """(component, playbook) of runs that did not help, since one last did."""
        failed: set[tuple[str, str]] = set()
        for one in self.tried:
            if one.result is Result.SUCCEEDED:
                failed.clear()
            elif one.result in FAILURES:
                failed.add((one.component, one.playbook))
        return frozenset(failed)


@dataclass(frozen=True, slots=True)
class Group:
    """The group of a target: how many members there are, and how many others are healthy and left alone."""

    name: str
    size: int
    others_healthy: int
    others_busy: int


@dataclass(frozen=True, slots=True)
class Move:
    """A setting was moved; `direction` 1 is up, -1 down."""

    at: datetime
    setting: str
    direction: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is going on around one target. `granted_last_hour`, `playbook_last_hour` and `busy_targets` are those of its
    pack."""

    granted_last_hour: int = 0
    busy_targets: tuple[str, ...] = ()
    cooling_until: dict[str, datetime] = field(default_factory=dict)
    """By playbook: when it may run again on this component."""
    asked_elsewhere: tuple[str, ...] = ()
    """Playbooks that other live cases ask for on this component."""
    incident_open: bool = False
    granted_here_last_hour: int = 0
    """On this component."""
    playbook_last_hour: dict[str, int] = field(default_factory=dict)
    last_acted_at: datetime | None = None
    """When the last run on this component began or ended."""
    moves: tuple[Move, ...] = ()
    """Settings of this component that were moved lately, oldest first."""


@dataclass(frozen=True, slots=True)
class PracticeFact:
    """The newest practice of a playbook. It speaks for what the playbook did then, which `spec_hash` names."""

    at: datetime
    spec_hash: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A component that may be acted on, with all that its pack says of it."""

    name: str
    pack: str
    pack_version: int
    mode: Mode
    component: Component
    policy: Policy
    playbooks: dict[str, Playbook] = field(default_factory=dict)
    knobs: tuple[Knob, ...] = ()
    """Of this component."""
    dependents: int = 0
    """Components that call it, directly or not."""
    dependents_by_criticality: dict[Criticality, int] = field(default_factory=dict)
    """The same by how much they matter; empty in records of before it was known."""
    error_budget_left: float | None = None
    """The least of its objectives' shares that are left; below 0: overdrawn; None: it has none."""
    maintenance: tuple[str, ...] = ()
    """Windows in which alarms of it are expected."""
    others: int = 0
    """Components of all packs, beside it."""
    health: str = "unknown"
    error_count: int = 0
    group: Group | None = None
    ledger: Ledger = field(default_factory=Ledger)
    practised: dict[str, PracticeFact] = field(default_factory=dict)
    """By playbook of its pack."""
    agent_away: str = ""
    """What is known of the agent on its host; empty: it is there, or none is needed."""
    storm: str = ""
    """What is known of a storm of alarms in its pack; empty: there is none."""

    @property
    def is_down(self) -> bool:
        return self.health == "critical"


@dataclass(frozen=True, slots=True)
class Record:
    """How a playbook has done on a signature. `shift`: points of confidence, (success rate − 0.5) × 0.20."""

    signature: str
    playbook: str
    runs: int
    successes: int
    success_rate: float
    shift: float
    mean_recovery_s: float | None = None
    of_kind: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By kind of component: runs and successes there, as far as the decider granted them itself."""
    remembered: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By kind of component: what the learner still counts as evidence of runs and successes there; empty: it has not
    said, and all of them count."""
    overruled: int = 0
    """How often a person said no to it on this problem, where no run could tell."""
    endorsed: int = 0
    """How often a person said that it would have been right, and it was not run."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a playbook may act alone on a problem: `auto` or `assist`, since when, and who said so."""

    pack: str
    signature: str
    playbook: str
    level: Mode
    since: datetime
    by: str = "homeostat"
    cooling_until: datetime | None = None
    """Not earned again before."""
    words: str = ""


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """How fast a record overrules a diagnosis."""

    version: int = 0
    """0: as shipped; others were fitted to this system's own outcomes."""
    prior_runs: float = 8.0
    """The diagnosis' confidence is worth this many runs."""
    doubt: float = 0.2
    """The chance to help lies below the confidence with this probability."""
    slope: float = 1.0
    offset: float = 0.0
    """What the diagnosis is sure of is believed as slope × its log odds + offset (Platt 1999); 1 and 0: as it says."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to what was asked."""

    by: str
    playbook: str
    component: str
    comment: str = ""
    permissions: tuple[str, ...] = ("*",)
    """As those of a request."""
    overrides: bool = False
    """It was not what was asked."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a decision depends on."""

    now: datetime
    case: Case
    targets: dict[str, Target] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    switched_off: bool = False
    approval: Approval | None = None
    model: ConfidenceModel = field(default_factory=ConfidenceModel)

    standings: tuple[Standing, ...] = ()
    """Rights to act alone that were given or lost, the newest of each playbook on each problem."""

    def standing_of(self, pack: str, signature: str, playbook: str) -> Standing | None:
        wanted = (pack, signature, playbook)
        return next((one for one in self.standings if (one.pack, one.signature, one.playbook) == wanted), None)

    def record_of(self, signature: str, playbook: str) -> Record | None:
        return next((r for r in self.records if (r.signature, r.playbook) == (signature, playbook)), None)
