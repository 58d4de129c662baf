"""What the learner knows, kept as the last value of each subject so that a new reader has it at once."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from shared.contracts.base import Event, Probability, Token, Wire


class KindKnowledge(Wire):
    """What past runs on one kind of component still say, the older ones forgotten as far as truth has changed."""

    kind: str
    """Of the components, as their pack says; empty: not known."""
    runs: Annotated[float, Field(ge=0)]
    """Weight of the evidence, as a number of runs."""
    successes: Annotated[float, Field(ge=0)]


class Knowledge(Event):
    """How one playbook has done on one signature."""

    SUBJECT: ClassVar[str] = "state.learner.knowledge.v1"
    KEY: ClassVar[str] = "slug"

    signature: str
    playbook: str
    slug: Token
    """`signature` and `playbook` as one token: the subject's key."""
    runs: Annotated[int, Field(ge=0)]
    successes: Annotated[int, Field(ge=0)]
    success_rate: Probability
    confidence_shift: float
    """Points of confidence (0–1) to add: (success_rate − 0.5) × 0.20, requirement H02."""
    mean_recovery_s: float | None = None
    by_kind: tuple[KindKnowledge, ...] = ()
    typical_recovery_s: float | None = None
    """Median of the next recovery, and the time that nine of ten won't exceed; old ones are forgotten."""
    recovery_high_s: float | None = None
    changed_at: AwareDatetime | None = None
    """When the truth was last seen to have changed: since then the playbook helps otherwise than before."""


class Drift(Event):
    """A playbook helps otherwise on a signature than it used to: what was learned before no longer counts."""

    SUBJECT: ClassVar[str] = "learner.drift.v1"
    KEY: ClassVar[str] = "slug"

    signature: str
    playbook: str
    slug: Token
    kind: str = ""
    """Of the components on which it changed; empty: not known."""
    success_before: Probability
    success_since: Probability
    runs_since: Annotated[int, Field(ge=1)]


class StatisticsRequest(Wire):
    """Asks how repairs of the last `days` went (`cmd.learner.statistics`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class FixStatistics(Wire):
    """Attempts of one kind of fix; dry runs and skipped runs are none."""

    total: int
    successes: int
    success_rate: Probability
    mean_recovery_s: float | None = None
    last_updated: AwareDatetime


class Statistics(Wire):
    """Reply to `StatisticsRequest`."""

    total: int
    successes: int
    success_rate: Probability | None
    """Null before the first attempt."""
    by_type: dict[str, FixStatistics]
    """By playbook."""
    last_updated: AwareDatetime | None
    asked: int
    """Decisions that asked a person, and what they said."""
    approved: int
    rejected: int
    brier: float | None
    """Mean squared difference of confidence and outcome: 0 is perfect."""
    curve: tuple[float, ...]
    """Success rate of each successive tenth of the attempts: rises while it learns."""
    proposed_threshold: Probability | None
    """Lowest confidence from which on nine of ten attempts helped; null without twenty such attempts."""


class ExportRequest(Wire):
    """Asks for a page of the knowledge base (`cmd.learner.export`)."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 500


class Export(Wire):
    """Reply to `ExportRequest`: JSON lines, oldest first; ask again with `after=next` until that is null."""

    lines: tuple[str, ...]
    next: int | None


class FeedbackRequest(Wire):
    """Asks for the newest lessons (`cmd.learner.feedback`)."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    decision_id: UUID | None = None
    """Only those of this decision."""


class Feedback(Wire):
    """One lesson."""

    decision_id: UUID
    at: AwareDatetime
    outcome_quality: Probability
    feedback_type: str
    """`outcome`, `external`, `override` or `drift`."""
    lessons_learned: str
    model_adjustments: dict[str, JsonValue] = {}
    """What it changed of what is counted: `confidence_shift` before and now, `counts_by_kind`, and the like."""


class Feedbacks(Wire):
    """Reply to `FeedbackRequest`: lessons newest first, and what detection and prediction were told of themselves."""

    feedback: tuple[Feedback, ...]
    alarms: tuple[AlarmRecord, ...] = ()
    foresight: tuple[ForesightRecord, ...] = ()


# ---- thresholds


class ThresholdsRequest(Wire):
    """Asks which thresholds could be others, from the decisions of the last `days` (`cmd.learner.thresholds`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 90


class ThresholdEffect(Wire):
    """What a threshold does with recorded decisions."""

    alone: Probability
    """Share that acts without a person."""
    known: int
    """Of these, how many it is known of whether they were right."""
    wrong: Probability | None
    wrong_low: Probability
    wrong_high: Probability
    """Share of them that was wrong, with its 95 % interval."""


class ThresholdProposal(Wire):
    """Another threshold for a playbook. `id` stands for this change of this playbook, whenever it is proposed."""

    id: UUID
    pack: Token
    playbook: Token
    now: Probability
    proposed: Probability
    decisions: int
    effect_now: ThresholdEffect
    effect: ThresholdEffect
    reason: str


class Thresholds(Wire):
    """Reply to `ThresholdsRequest`. Nothing changes by asking: a proposal is applied by its id."""

    proposals: tuple[ThresholdProposal, ...]
    looked_at: int
    """Playbooks with decisions that only the threshold decided."""


# ---- suggestions


class SuggestionQualityRequest(Wire):
    """Asks what became of what was suggested in the last `days` (`cmd.learner.suggestion-quality`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 90


class SuggestionGroup(Wire):
    """Suggestions of one playbook for one kind of case."""

    kind: str
    playbook: str
    suggested: int
    asked: int
    approved: int
    rejected: int
    expired: int
    """Nobody answered in time."""
    withdrawn: int
    """It was over, or something else was decided, before anybody answered."""
    adopted: int
    """Done, alone or with approval."""
    helped: int
    did_not_help: int
    adoption: Probability | None
    success: Probability | None
    answer_s: float | None
    """Median time that people took."""


class PersonsAnswers(Wire):
    """How one person answered, and how often what they approved helped."""

    by: str
    approved: int
    rejected: int
    approved_helped: int
    approved_known: int


class SuggestionQuality(Wire):
    """Reply to `SuggestionQualityRequest`."""

    groups: tuple[SuggestionGroup, ...]
    people: tuple[PersonsAnswers, ...]
    suggested: int
    adoption: Probability | None
    success: Probability | None


# ---- the knowledge base


class ImportRequest(Wire):
    """Adds lines of an exported knowledge base (`cmd.learner.import`); what is known already changes nothing."""

    lines: Annotated[tuple[Annotated[str, Field(max_length=4_096)], ...], Field(max_length=500)]
    by: Annotated[str, Field(min_length=1, max_length=200)]


class RefusedLine(Wire):
    line: int
    """Its number in the request, from 1."""
    reason: str


class Imported(Wire):
    """Reply to `ImportRequest`."""

    added: int
    known: int
    refused: tuple[RefusedLine, ...] = ()


class InsightsRequest(Wire):
    """Asks what stands out of all that was learned (`cmd.learner.insights`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 90
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Insight(Wire):
    """One sentence made of counted facts."""

    weight: str
    """`urgent`, `improve` or `note`."""
    about: str
    words: str
    facts: int
    """On how many it rests."""


class Insights(Wire):
    """Reply to `InsightsRequest`, the heaviest first."""

    insights: tuple[Insight, ...]


# ---- models


class ModelsRequest(Wire):
    """Asks for the learner's models (`cmd.learner.models`)."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50


class LearnedModel(Wire):
    """One version of a model."""

    id: UUID
    model_type: str
    """`success` (chance that a playbook helps) or `recovery-time`."""
    model_version: int
    training_data: dict[str, JsonValue]
    performance_metrics: dict[str, JsonValue]
    """Mean loss on held-back runs, and that of the model before."""
    active: bool
    deployed_at: AwareDatetime | None
    created_at: AwareDatetime
    reason: str


class Models(Wire):
    """Reply to `ModelsRequest`, newest first."""

    models: tuple[LearnedModel, ...]


# ---- what detection and prediction learn


class AlarmRecord(Event):
    """How often the alarms of one pattern on one component were worth having (`state.learner.alarms.v1.<slug>`)."""

    SUBJECT: ClassVar[str] = "state.learner.alarms.v1"
    KEY: ClassVar[str] = "slug"

    slug: Token
    component: Token
    pattern: str
    true_alarms: Annotated[int, Field(ge=0)]
    """A repair, a person or what it cost showed that there was something."""
    false_alarms: Annotated[int, Field(ge=0)]
    """It passed by itself at once and cost nothing, or a person silenced it."""
    unknown: Annotated[int, Field(ge=0)] = 0
    precision: Probability | None = None
    precision_low: Probability = 0.0
    precision_high: Probability = 1.0
    """The 95 % interval."""
    advice: str = ""


class ForesightRecord(Event):
    """How the predictions of one series came out (`state.learner.foresight.v1.<slug>`)."""

    SUBJECT: ClassVar[str] = "state.learner.foresight.v1"
    KEY: ClassVar[str] = "slug"

    slug: Token
    component: Token
    metric: str
    hits: Annotated[int, Field(ge=0)]
    prevented: Annotated[int, Field(ge=0)]
    false_alarms: Annotated[int, Field(ge=0)]
    missed: Annotated[int, Field(ge=0)]
    """Incidents of the series that nobody foretold."""
    precision: Probability | None = None
    precision_low: Probability = 0.0
    precision_high: Probability = 1.0
    recall: Probability | None = None
